"""Rows of an annotation table: which video, which class, from when to when, and on which side of a split."""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal, TypeAlias

from mv_tools.remote import file_system, reported, url_of

from ...errors import DataError
from ...sampling import Segment
from ...storage.names import printable
from .records import Record, Records, read_records

__all__ = [
    "Part",
    "TableProblem",
    "TableRow",
    "TableRows",
    "inspect_table",
    "overlaps",
    "read_table",
    "require_rows",
]

Part: TypeAlias = Literal["train", "val", "test"]

_PARTS: Final[dict[str, Part]] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_REQUIRED: Final = ("video", "label")
_KNOWN: Final = ("video", "label", "start", "end", "split", "group")
_SPLIT: Final = re.compile(r"split([1-9]\d{0,3})")
_NUMBER: Final = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_MAX_SECONDS: Final = 1e7  # 115 days
_MAX_LABEL: Final = 200  # characters
_SHOWN: Final = 60  # characters of a value in a message


@dataclass(frozen=True)
class TableRow:
    """One row of an annotation table.

    Attributes:
        number: of the row, see :class:`~moclip_lite.datasets.table.records.Record`.
        video: name of the video, with forward slashes: relative to the videos' folder, absolute if it lies elsewhere.
        path: of the video's file.
        label: class name; "" in a table without labels, if that is allowed.
        segment: from when to when; None for the whole video.
        splits: split name -> part; empty if the table has no column `split`.
        group: person, place or recording; None if the table names none.
    """

    number: int
    video: str
    path: Path
    label: str
    segment: Segment | None = None
    splits: Mapping[str, Part] = field(default_factory=dict)
    group: str | None = None


@dataclass(frozen=True)
class TableProblem:
    """What is wrong in a row.

    Attributes:
        row: its number.
        column: where it is; "" for the whole row.
        reason: what is wrong.
        missing: whether the video is absent, which may be allowed.
    """

    row: int
    column: str
    reason: str
    missing: bool = False

    @property
    def place(self) -> str:
        """Row and column in words."""
        return f"row {self.row}, column {self.column}" if self.column else f"row {self.row}"


@dataclass(frozen=True)
class TableRows:
    """A table that was read.

    Attributes:
        rows: the usable ones.
        problems: of the others.
        ignored: columns that are not read.
    """

    rows: list[TableRow]
    problems: list[TableProblem]
    ignored: list[str]


def read_table(path: Path, *, videos: Path | None = None, labels: bool = True) -> list[TableRow]:
    """Read an annotation table: CSV, JSON Lines or Parquet.

    Columns: ``video`` and ``label``; ``start`` and ``end`` in seconds on a player's clock, both or none
    of them in each row; ``split`` (train, validation or test), or ``split1``, ``split2`` ... for several divisions;
    ``group``. Videos are opened by nobody here: that a segment ends before its video is checked where it is read.

    Args:
        path: the table.
        videos: folder that the videos are relative to; the table's own folder by default.
        labels: whether each row must have a label.

    Raises:
        DataError: the first problem, with its row and column, and the number of the others; or no row at all.
    """
    return require_rows(path, inspect_table(path, videos=videos, labels=labels))


def require_rows(path: Path, table: TableRows) -> list[TableRow]:
    """The rows of a table without problems.

    Raises:
        DataError: see :func:`read_table`.
    """
    if table.problems:
        first, count = table.problems[0], len(table.problems)
        more = (
            f" ({count - 1} more rows have problems; moclip dataset list {path} lists them)"
            if count > 1
            else ""
        )
        raise DataError(f"{path}, {first.place}: {first.reason}{more}")
    if not table.rows:
        raise DataError(f"{path}: the table has no rows, only a header")
    return table.rows


def inspect_table(
    path: Path, *, videos: Path | None = None, labels: bool = True, present: bool = True
) -> TableRows:
    """The rows and the problems of a table; see :func:`read_table`.

    Args:
        path, videos, labels: see there.
        present: whether the videos must be there.

    Raises:
        DataError: the file can't be read, or a column is missing.
    """
    records = read_records(path)
    splits = [name for name in records.columns if name == "split" or _SPLIT.fullmatch(name)]
    ignored = _check_columns(path, records, splits, _REQUIRED if labels else ("video",))
    reader = _RowReader(_folder(videos or path.parent, present), splits, records.decimal_comma, labels)
    rows: list[TableRow] = []
    problems: list[TableProblem] = []
    first_row: dict[tuple[Any, ...], int] = {}
    for record in records.rows:
        row = reader.read(record)
        if isinstance(row, TableProblem):
            problems.append(row)
            continue
        key = (row.video, row.segment, row.label)
        if key in first_row:
            problems.append(TableProblem(row.number, "", f"is the same as row {first_row[key]}"))
            continue
        first_row[key] = row.number
        rows.append(row)
    return TableRows(rows, problems, ignored)


def overlaps(rows: Sequence[TableRow]) -> list[tuple[TableRow, TableRow]]:
    """Pairs of rows of one video whose segments overlap and whose labels differ, sorted by video and start.

    Each row is listed with the row before it that ends last: a pair per row at most.
    """
    pairs = []
    by_video: dict[str, list[TableRow]] = {}
    for row in rows:
        by_video.setdefault(row.video, []).append(row)
    for same in by_video.values():
        last: TableRow | None = None
        for row in sorted(same, key=lambda row: (_span(row), row.number)):
            if last is not None and _span(row)[0] < _span(last)[1] and row.label != last.label:
                pairs.append((last, row))
            if last is None or _span(row)[1] > _span(last)[1]:
                last = row
    return pairs


def _span(row: TableRow) -> tuple[float, float]:
    return (0.0, math.inf) if row.segment is None else (row.segment.start, row.segment.end)


def _check_columns(path: Path, records: Records, splits: Sequence[str], required: Sequence[str]) -> list[str]:
    """The columns that are not read.

    Raises:
        DataError: a required one is missing, or one is nearly called like a known one.
    """
    columns = records.columns
    absent = [name for name in required if name not in columns]
    if absent:
        found = ", ".join(name[:_SHOWN] for name in columns[:10]) or "none"
        raise DataError(
            f"{path}, row 1: there is no column {' and no column '.join(absent)}; it has: {found}. The columns are "
            "video,label[,start,end,split,group]"
        )
    if ("start" in columns) != ("end" in columns):
        present, other = ("start", "end") if "start" in columns else ("end", "start")
        raise DataError(f"{path}, row 1: there is a column {present} and no column {other}")
    if "split" in splits and len(splits) > 1:
        raise DataError(
            f"{path}, row 1: there are columns split and {splits[-1]}; number all of them, from split1"
        )
    ignored = [name for name in columns if name and name not in (*_KNOWN, *splits)]
    for name in ignored:
        near = difflib.get_close_matches(name, _KNOWN, n=1, cutoff=0.75)
        if near and near[0] not in columns:
            raise DataError(
                f"{path}, row 1: the column {name[:_SHOWN]!r} is not known; is it meant to be {near[0]}?"
            )
    return ignored


class _Folder:
    """Finds videos; each is looked for once."""

    def __init__(self, path: Path, present: bool) -> None:
        self._root, self._present = path.expanduser().absolute(), present
        self._known: dict[str, tuple[str, Path] | str] = {}

    def find(self, value: str) -> tuple[str, Path] | str:
        """(name, path) of a video, or why there is none."""
        if value not in self._known:
            self._known[value] = self._find(value)
        return self._known[value]

    def _find(self, value: str) -> tuple[str, Path] | str:
        if _ADDRESS.match(value):
            return f"{_shown(value)} is an address; only files are read"
        path = Path(os.path.normpath(self._root / value))
        try:
            if not path.is_file() and "\\" in value:  # written on Windows
                other = Path(os.path.normpath(self._root / value.replace("\\", "/")))
                path = other if other.is_file() else path
            if self._present and not path.is_file():
                kind = "is a folder" if path.is_dir() else "there is no such video"
                return f"{kind}, {printable(str(path))}"
        except (OSError, ValueError) as error:  # a name that no file can have
            return f"{_shown(value)} is no name of a file ({getattr(error, 'strerror', None) or error})"
        name = os.path.relpath(path, self._root) if path.is_relative_to(self._root) else str(path)
        return printable(Path(name).as_posix()), path


class _RemoteFolder(_Folder):
    """Finds videos below a URL."""

    def __init__(self, root: Path, url: str, present: bool) -> None:
        super().__init__(root, present)
        self._root, self._url = root, url.rstrip("/")

    def _find(self, value: str) -> tuple[str, Path] | str:
        name = PurePosixPath(value)
        if _ADDRESS.match(value):
            return f"{_shown(value)} is an address; only files below {self._url} are read"
        if name.is_absolute() or ".." in name.parts or "\\" in value or not name.name:
            return f"{_shown(value)} is no name of an object below {self._url}"
        system, path = file_system(f"{self._url}/{name}")
        with reported(self._url):
            if self._present and not system.isfile(path):
                return f"there is no such video, {printable(f'{self._url}/{name}')}"
        return printable(name.as_posix()), self._root / name


def _folder(path: Path, present: bool) -> _Folder:
    url = url_of(path)
    return _Folder(path, present) if url is None or path.exists() else _RemoteFolder(path, url, present)


class _RowReader:
    """Turns records into rows."""

    def __init__(self, folder: _Folder, splits: Sequence[str], decimal_comma: bool, labels: bool) -> None:
        self._folder, self._splits = folder, splits
        self._decimal_comma, self._labels = decimal_comma, labels

    def read(self, record: Record) -> TableRow | TableProblem:
        """The row of a record, or what is wrong with it."""
        if record.problem is not None:
            return TableProblem(record.number, *record.problem)
        try:
            return self._read(record)
        except _Wrong as wrong:
            return TableProblem(record.number, wrong.column, wrong.reason, wrong.missing)

    def _read(self, record: Record) -> TableRow:
        values = record.values
        label = _word(values, "label", required=self._labels) or ""
        if len(label) > _MAX_LABEL:
            raise _Wrong("label", f"has {len(label)} characters, a class name has at most {_MAX_LABEL}")
        segment = self._segment(values)
        splits = {_split_name(name): _part(values, name) for name in self._splits}
        group = _word(values, "group", required=False)
        found = self._folder.find(str(_word(values, "video", required=True)))
        if isinstance(found, str):
            raise _Wrong("video", found, missing=found.startswith("there is no such video"))
        chosen = {name: part for name, part in splits.items() if part is not None}
        return TableRow(record.number, *found, label, segment, chosen, group)

    def _segment(self, values: Mapping[str, Any]) -> Segment | None:
        start, end = self._seconds(values, "start"), self._seconds(values, "end")
        if start is None and end is None:
            return None
        if start is None or end is None:
            empty, other = ("start", "end") if start is None else ("end", "start")
            raise _Wrong(
                empty, f"is empty, while {other} is {values[other]}; leave both empty for the whole video"
            )
        if start >= end:
            raise _Wrong("end", f"{_number(end)} s is not after the start at {_number(start)} s")
        return Segment(start, end)

    def _seconds(self, values: Mapping[str, Any], column: str) -> float | None:
        value = values.get(column)
        if value is None:
            return None
        if isinstance(value, str):
            if not _NUMBER.fullmatch(value) or ("," in value and not self._decimal_comma):
                raise _Wrong(column, f"{_shown(value)} is not a number of seconds")
            value = value.replace(",", ".")
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _Wrong(column, f"{_shown(value)} is not a number of seconds")
        try:
            seconds = float(value)
        except (ValueError, OverflowError):
            seconds = math.inf
        if not math.isfinite(seconds):
            raise _Wrong(column, f"{_shown(value)} is not a finite number of seconds")
        if seconds < 0:
            raise _Wrong(column, f"{_number(seconds)} s is negative; times count from the video's start")
        if seconds > _MAX_SECONDS:
            raise _Wrong(column, f"{_number(seconds)} s is more than any video has; times are in seconds")
        return seconds


class _Wrong(Exception):
    """A value that can't be used."""

    def __init__(self, column: str, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.column, self.reason, self.missing = column, reason, missing


def _word(values: Mapping[str, Any], column: str, *, required: bool) -> str | None:
    """Text of a cell; whole numbers are text, too."""
    value = values.get(column)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or value == "":
        if required:
            raise _Wrong(column, "is empty")
        return None
    if not isinstance(value, str):
        raise _Wrong(column, f"{_shown(value)} is not text")
    if not value.isprintable():
        raise _Wrong(column, f"{_shown(value)} holds a control character or a line break")
    return value


def _part(values: Mapping[str, Any], column: str) -> Part | None:
    value = values.get(column)
    if value is None:
        return None
    part = _PARTS.get(value.lower()) if isinstance(value, str) else None
    if part is None:
        raise _Wrong(column, f"must be train, validation or test, got {_shown(value)}")
    return part


def _split_name(column: str) -> str:
    return "split1" if column == "split" else column


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _number(value: float) -> str:
    return f"{value:.10g}"
