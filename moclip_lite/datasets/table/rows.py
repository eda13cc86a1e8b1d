"""Rows of an annotation table: video, class, segment, split and group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mv_tools.urls import spelled

from ...errors import DataError
from ...sampling import Segment
from ..clip import shorten
from .columns import REQUIRED, splits_among, unread_columns
from .records import Record, read_records
from .values import Part, WrongValue, label_of, part_of, segment_of, text_of
from .videos import ABSENT, WITHHELD, VideoFolder, video_folder

__all__ = ["TableProblem", "TableRow", "TableRows", "inspect_table", "overlaps", "read_table", "require_rows"]


@dataclass(frozen=True)
class TableRow:
    """One row of an annotation table.

    Attributes:
        number: of the row, see :class:`~moclip_lite.datasets.table.records.Record`.
        video: name of the video, with forward slashes: relative to the videos' folder,
            absolute if it lies elsewhere.
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
        missing: whether the video is absent or refused, which may be allowed.
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

    def unread(self, path: Path) -> list[str]:
        """A note on the columns that are not read, if there are some."""
        return [f"{path.name}: columns that are not read: {shorten(self.ignored)}"] if self.ignored else []

    def without_times(self, path: Path) -> list[str]:
        """A note that the rows are about whole videos, if all of them are."""
        if any(row.segment is not None for row in self.rows):
            return []
        return [f"{path.name} has no times: each row is about its whole video"]


def read_table(path: Path, *, videos: Path | None = None, labels: bool = True) -> list[TableRow]:
    """Read an annotation table: CSV, JSON Lines or Parquet.

    Columns: ``video`` and ``label``; ``start`` and ``end`` in seconds on a player's clock, both or none
    of them in each row; ``split`` (train, validation or test), or ``split1``, ``split2`` ... for several
    divisions; ``group``. No video is opened: whether a segment lies within its video
    is checked where it is read.

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
            f" ({count - 1} more rows have problems; moclip dataset list {spelled(path)} lists them)"
            if count > 1
            else ""
        )
        raise DataError(
            "; ".join([f"{spelled(path)}, {first.place}: {first.reason}{more}", *table.unread(path)])
        )
    if not table.rows:
        raise DataError(f"{spelled(path)}: the table has no rows, only a header")
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
    ignored = unread_columns(spelled(path), records.columns, REQUIRED if labels else ("video",))
    splits = splits_among(records.columns)
    reader = _RowReader(video_folder(videos or path.parent, present), splits, records.decimal_comma, labels)
    rows: list[TableRow] = []
    problems: list[TableProblem] = []
    first_row: dict[tuple[Any, ...], TableRow] = {}
    for record in records.rows:
        row = reader.read(record)
        if isinstance(row, TableProblem):
            problems.append(row)
            continue
        key = (row.video, str(row.segment), row.label)
        if key in first_row:
            problems.append(TableProblem(row.number, "", _sameness(row, first_row[key], ignored)))
            continue
        first_row[key] = row
        rows.append(row)
    return TableRows(rows, problems, ignored)


def _sameness(row: TableRow, first: TableRow, ignored: Sequence[str]) -> str:
    """How a row is like an earlier one of the same clip."""
    others = {"split": row.splits != first.splits, "group": row.group != first.group}
    differing = [name for name, differs in others.items() if differs]
    if differing:
        return f"names the same clip as row {first.number}, with another {' and '.join(differing)}"
    return f"is the same as row {first.number}{' in all columns that are read' if ignored else ''}"


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


class _RowReader:
    """Turns records into rows."""

    def __init__(self, folder: VideoFolder, splits: Sequence[str], decimal_comma: bool, labels: bool) -> None:
        self._folder, self._splits = folder, splits
        self._decimal_comma, self._labels = decimal_comma, labels

    def read(self, record: Record) -> TableRow | TableProblem:
        """The row of a record, or what is wrong with it."""
        if record.problem is not None:
            return TableProblem(record.number, *record.problem)
        try:
            return self._read(record)
        except WrongValue as wrong:
            return TableProblem(record.number, wrong.column, wrong.reason, wrong.missing)

    def _read(self, record: Record) -> TableRow:
        values = record.values
        label = label_of(values, required=self._labels)
        segment = segment_of(values, decimal_comma=self._decimal_comma)
        parts = {"split1" if name == "split" else name: part_of(values, name) for name in self._splits}
        group = text_of(values, "group", required=False)
        video = self._folder.find(str(text_of(values, "video", required=True)))
        if isinstance(video, str):
            raise WrongValue("video", video, missing=video.startswith((ABSENT, WITHHELD)))
        splits = {name: part for name, part in parts.items() if part is not None}
        return TableRow(record.number, *video, label, segment, splits, group)
