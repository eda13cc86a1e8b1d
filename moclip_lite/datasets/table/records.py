"""Records of a table file, CSV, JSON Lines or Parquet, as values by column; nothing is interpreted here.

Files are untrusted: their size, number of rows and length of each value are bounded.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from mv_tools.urls import spelled

from ...errors import DataError
from ...storage.url_files import fetched

__all__ = ["SUFFIXES", "Record", "Records", "read_records"]

SUFFIXES: Final = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet")
"""Endings of table files, in lower case."""

_MAX_BYTES: Final = 1 << 28
_MAX_ROWS: Final = 2_000_000
_MAX_CHARACTERS: Final = 4096  # of one value; the longest path of Linux
_MAX_COLUMNS: Final = 1000
_SEPARATORS: Final = (",", ";", "\t", "|")
_STATED: Final = re.compile(rf"\"?sep=([{''.join(map(re.escape, _SEPARATORS))}])\"?", re.IGNORECASE)
"""Excel's first line that states the separator, which spreadsheets neither show nor count."""
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Record:
    """One row.

    Attributes:
        number: as a spreadsheet counts the rows of a CSV file (the header is row 1), the line of a JSON Lines
            file, or the position in a Parquet file, from 1.
        values: column -> text or number; None where the cell is empty.
        problem: why the row has no usable values, with the column ("" if it is no single one).
    """

    number: int
    values: Mapping[str, Any]
    problem: tuple[str, str] | None = None


@dataclass(frozen=True)
class Records:
    """A table that is being read; rows without any value are left out, whatever the format.

    Attributes:
        columns: names in lower case, in the order of the file; of JSON Lines those of any row.
        rows: the records, read as they are asked for.
        decimal_comma: whether numbers may be written as 1,5.
    """

    columns: tuple[str, ...]
    rows: Iterator[Record]
    decimal_comma: bool = False


def read_records(path: Path) -> Records:
    """Open a table.

    CSV: separated by comma, semicolon, tab or bar, whichever divides the header line into most columns or
    is stated in a line ``sep=;`` before it; UTF-8, or UTF-16 with a byte order mark.

    Args:
        path: of the file, or its URL, which messages name.

    Raises:
        DataError: no such file, too large, no table, or of an encoding that can't be read.
        OSError: a file at a URL can't be read.
    """
    shown, file = spelled(path), fetched(path, _MAX_BYTES)
    if not file.is_file():
        raise DataError(f"{shown}: there is no such table")
    if file.stat().st_size > _MAX_BYTES:
        raise DataError(f"{shown}: larger than {_MAX_BYTES >> 20} MB; divide the table")
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(
            f"{shown}: a table ends with {', '.join(SUFFIXES)}; "
            "exports of annotation tools are converted with moclip dataset import"
        )
    if suffix == ".parquet":
        records = _parquet(shown, file)
    elif suffix in (".jsonl", ".ndjson"):
        records = _json_lines(shown, _decoded(shown, file))
    else:
        records = _csv(shown, _decoded(shown, file))
    return Records(records.columns, _filled(shown, records.rows), records.decimal_comma)


def _filled(shown: str, rows: Iterator[Record]) -> Iterator[Record]:
    """The rows that hold a value or a problem.

    Raises:
        DataError: there are too many rows.
    """
    for count, row in enumerate(rows, start=1):
        if count > _MAX_ROWS:
            raise DataError(f"{shown}: more than {_MAX_ROWS:,} rows; divide the table")
        if row.problem is not None or any(value is not None for value in row.values.values()):
            yield row


def _decoded(shown: str, file: Path) -> str:
    """The text of a file.

    Raises:
        DataError: it is not text in a known encoding.
    """
    data = file.read_bytes()
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"{shown}, row {line}: is not {encoding.removesuffix('-sig').upper()}; save it as UTF-8"
        ) from error
    if "\0" in text:
        raise DataError(
            f"{shown}, row {text[: text.index(chr(0))].count(chr(10)) + 1}: "
            "holds a zero byte, so it is no text"
        )
    return text


def _csv(shown: str, text: str) -> Records:
    header, _, rest = text.partition("\n")
    stated = _STATED.fullmatch(header.strip())
    if stated is not None:
        text, header = rest, rest.partition("\n")[0]
    separator = max(_SEPARATORS, key=header.count) if stated is None else stated[1]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    csv.field_size_limit(max(csv.field_size_limit(), 1 << 17))
    try:
        names = next(reader, [])
    except csv.Error as error:
        raise DataError(f"{shown}, row 1: {error}") from error
    columns = _columns(shown, names)
    return Records(columns, _csv_rows(shown, reader, columns), decimal_comma=separator != ",")


def _csv_rows(shown: str, reader: Iterator[list[str]], columns: tuple[str, ...]) -> Iterator[Record]:
    number = 1
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{shown}, row {number}: {error}") from error
        if not any(cell.strip() for cell in cells):  # of any number
            continue
        if len(cells) != len(columns):
            yield Record(number, {}, ("", f"has {len(cells)} values, the header has {len(columns)} columns"))
            continue
        yield _record(number, {name: cell.strip() or None for name, cell in zip(columns, cells, strict=True)})


def _json_lines(shown: str, text: str) -> Records:
    """The columns are those of all rows: a row may leave out what is empty."""
    rows, columns = [], dict[str, None]()
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            rows.append(_json_row(number, line))
            columns |= dict.fromkeys(rows[-1].values)
    if rows and not columns and rows[0].problem is not None:
        raise DataError(f"{shown}, row {rows[0].number}: {rows[0].problem[1]}")
    return Records(_columns(shown, list(columns)), iter(rows))


def _json_row(number: int, line: str) -> Record:
    try:
        value = json.loads(line, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        return Record(number, {}, ("", f"is not JSON ({error})"))
    if not isinstance(value, dict):
        return Record(number, {}, ("", 'is not an object such as {"video": "a.mp4", "label": "walk"}'))
    return _record(number, {name.strip().lower(): _text(cell) for name, cell in value.items()})


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name.strip().lower() for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError("a name stands in it twice")
    return dict(pairs)


def _parquet(shown: str, file: Path) -> Records:
    import pyarrow as pa  # half a second to import
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(file)
        if table.metadata.num_rows > _MAX_ROWS:
            raise DataError(f"{shown}: more than {_MAX_ROWS:,} rows; divide the table")
        names = table.schema_arrow.names
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{shown}: is damaged, or no Parquet file") from error
    return Records(_columns(shown, names), _parquet_rows(shown, table))


def _parquet_rows(shown: str, table: Any) -> Iterator[Record]:
    import pyarrow as pa

    number = 0
    try:
        for batch in table.iter_batches(batch_size=4096):
            for values in batch.to_pylist():
                number += 1
                yield _record(number, {name.strip().lower(): _text(cell) for name, cell in values.items()})
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{shown}, row {number + 1}: is damaged") from error


def _text(cell: Any) -> Any:
    """Text without blanks around it, None if it is empty; decimals as text; other values are unchanged."""
    if isinstance(cell, Decimal):
        return str(cell)
    return cell.strip() or None if isinstance(cell, str) else cell


def _record(number: int, values: dict[str, Any]) -> Record:
    """A record; a value that is too long is its problem."""
    for name, value in values.items():
        if isinstance(value, str) and len(value) > _MAX_CHARACTERS:
            return Record(
                number, {}, (name, f"has {len(value):,} characters, at most {_MAX_CHARACTERS:,} are read")
            )
    return Record(number, values)


def _columns(shown: str, names: list[str]) -> tuple[str, ...]:
    """Names in lower case.

    Raises:
        DataError: a name twice, or too many.
    """
    columns = tuple(name.strip().lower() for name in names)
    if len(columns) > _MAX_COLUMNS:
        raise DataError(f"{shown}: has {len(columns):,} columns, at most {_MAX_COLUMNS:,} are read")
    twice = next((name for i, name in enumerate(columns) if name and name in columns[:i]), None)
    if twice is not None:
        raise DataError(f"{shown}, row 1: the column {twice[:80]!r} stands there twice")
    return columns
