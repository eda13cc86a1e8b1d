"""Annotated segments of long videos, read from a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mv_tools.urls import spelled

from ..datasets.table.rows import TableRow, TableRows, inspect_table, overlaps, require_rows
from ..errors import DataError
from .evaluate import TimedLabel
from .timeline import Timeline

__all__ = ["Truth", "read_truth"]

_SHOWN: Final = 8  # classes in a message
_SAME_TIME: Final = 0.05  # seconds by which an annotation may end behind its video


@dataclass(frozen=True)
class Truth:
    """A table of annotated segments.

    Attributes:
        path: of the table.
        videos: paths of the videos, in the order of their first rows.
        rows: of the table.
        notes: what a user should know of it.
    """

    path: Path
    videos: tuple[Path, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...] = ()

    def labels(self, timelines: Sequence[Timeline]) -> list[TimedLabel]:
        """The annotations of the videos that were labelled; a row without times is about the whole video.

        Raises:
            DataError: a row begins or ends behind the end of its video, or ends before its first picture.
        """
        by_path = {timeline.path: timeline for timeline in timelines}
        labels = []
        for row in self.rows:
            timeline = by_path.get(spelled(row.path))
            if timeline is None:
                continue
            first, last = timeline.start, timeline.start + timeline.duration
            start, end = (0.0, last) if row.segment is None else (row.segment.start, row.segment.end)
            if start >= last or end > last + max(_SAME_TIME, timeline.stride):
                column = "start" if start >= last else "end"
                raise DataError(
                    f"{self.path}, row {row.number}, column {column}: "
                    f"{start if column == 'start' else end:g} s is behind "
                    f"the end of {row.video}, which is {last:.2f} s long"
                )
            if end <= first:
                raise DataError(
                    f"{self.path}, row {row.number}, column end: {end:g} s is before "
                    f"the first picture of {row.video}, which is shown at {first:.2f} s"
                )
            labels.append(TimedLabel(spelled(row.path), max(start, first), min(end, last), row.label))
        return labels


def read_truth(path: Path, labels: Sequence[str], videos: Path | None = None) -> Truth:
    """Read a table ``video,label,start,end`` (CSV, JSON Lines or Parquet).

    Args:
        path: the table.
        labels: class names of the model.
        videos: folder that the videos are relative to; the table's own by default.

    Raises:
        DataError: names the row and the column: a label that the model does not know, segments that are
            inverted, of length zero or overlap, a video that is not there.
    """
    table: TableRows = inspect_table(path, videos=videos)
    rows = require_rows(path, table)
    known = set(labels)
    for row in rows:
        if row.label not in known:
            shown = ", ".join(sorted(labels)[:_SHOWN]) + (", ..." if len(labels) > _SHOWN else "")
            raise DataError(
                f"{spelled(path)}, row {row.number}, column label: the model does not know {row.label!r}; "
                f"its {len(labels)} classes are {shown}"
            )
    crossed = [*overlaps(rows), *_repeated(rows)]
    if crossed:
        one, other = crossed[0]
        raise DataError(
            f"{spelled(path)}, row {other.number}, column start: the segment overlaps that of row "
            f"{one.number} ({one.label}, {one.segment or 'the whole video'})"
        )
    videos_of_rows = tuple(dict.fromkeys(row.path for row in rows))
    notes = (*table.unread(path), *table.without_times(path))
    return Truth(path, videos_of_rows, tuple(rows), notes)


def _repeated(rows: Sequence[TableRow]) -> list[tuple[TableRow, TableRow]]:
    """Pairs of overlapping rows of one video and one label."""
    pairs = []
    last: dict[tuple[str, str], TableRow] = {}
    for row in sorted(rows, key=lambda row: (row.segment.start if row.segment else 0.0, row.number)):
        before = last.get((row.video, row.label))
        if before is not None and (
            before.segment is None or row.segment is None or row.segment.start < before.segment.end
        ):
            pairs.append((before, row))
        last[row.video, row.label] = row
    return pairs
