"""Data sets from annotation tables, and groups and splits from a table for clips of another layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mv_tools.urls import spelled

from ...errors import DataError
from ...sampling import SAME_TIME, Segment
from ...storage.names import composed
from ..clip import Clip, VideoDataset, shorten
from ..segments import LATE_END
from .rows import TableProblem, TableRow, TableRows, inspect_table, overlaps, require_rows
from .videos import WITHHELD

__all__ = ["Duration", "checked_table", "divide_by_table", "load_table"]

Duration = Callable[[Path, float], "float | None"]
"""Seconds of a video, exact where less than those given, see
:func:`~moclip_lite.datasets.segments.video_seconds`; None if unreadable, which is reported with its clips."""


def load_table(
    path: Path, *, videos: Path | None = None, skip_missing: bool = False, duration: Duration | None = None
) -> VideoDataset:
    """Read an annotation table as a data set: a clip per row.

    Clips of one video are a group unless the table names groups. Its splits become the data set's official
    ones, ``split1`` for a column `split`. Segments may overlap;
    where their labels differ the data set's notes say so.

    Args:
        path: the table.
        videos: folder that the videos are relative to; the table's own folder by default.
        skip_missing: leave out rows whose video is absent or refused instead of refusing them.
        duration: of a video; without it segments that end behind their video are found where they are read.

    Raises:
        DataError: a row can't be used; the message names the file, row and column.
    """
    table = _checked(inspect_table(path, videos=videos), duration)
    absent = [problem for problem in table.problems if problem.missing]
    if skip_missing and table.rows:
        table = replace(table, problems=[problem for problem in table.problems if not problem.missing])
    rows = require_rows(path, table)
    notes = _notes(path, table, rows)
    if skip_missing and absent:
        refused = [problem.reason for problem in absent if problem.reason.startswith(WITHHELD)]
        which = f"absent or refused ({refused[0]})" if refused else "absent"
        notes.insert(0, f"left out, {len(absent)} row(s) of {path.name} whose video is {which}")
    clips = _clips(path, table, rows)
    dataset = VideoDataset(
        videos or path.parent, clips, tuple(sorted({clip.label for clip in clips})), notes=tuple(notes)
    )
    return _with_groups(_with_splits(dataset, rows), rows)


def checked_table(path: Path, *, videos: Path | None = None, duration: Duration | None = None) -> TableRows:
    """A table with all its problems, for a listing.

    Raises:
        DataError: the file can't be read, or a column is missing.
    """
    return _checked(inspect_table(path, videos=videos), duration)


def divide_by_table(dataset: VideoDataset, path: Path) -> VideoDataset:
    """Groups and splits of a table for the clips of any layout; its labels, if it has any, must agree.

    A row names a clip as the data set does, with or without its ending, or with another one (of the originals
    of re-encoded clips) where that leaves one clip; columns `start` and `end` have no place here.

    Raises:
        DataError: the table can't be read, has neither groups nor splits, names unknown clips or other
            labels, or leaves clips out.
    """
    table = inspect_table(path, videos=dataset.root, labels=False, present=False)
    rows = require_rows(path, table)
    find = _finder(dataset)
    by_name: dict[str, TableRow] = {}
    for row in rows:
        named = find(row.video)
        clip = named[0] if len(named) == 1 else None
        problem = ""
        if len(named) > 1:
            names = shorten([clip.name for clip in named])
            problem = f"column video: {row.video} may be {names}; write the name with its ending"
        elif clip is None:
            problem = f"column video: {row.video} is no clip of {dataset.shown}"
        elif row.segment is not None:
            problem = "column start: these clips are whole videos; segments need data.kind=table"
        elif row.label not in ("", clip.label):
            problem = f"column label: {row.label!r}, but the clip's class is {clip.label!r}"
        elif clip.name in by_name:
            problem = f"column video: row {by_name[clip.name].number} names the same clip"
        if clip is None or problem:
            raise DataError(f"{spelled(path)}, row {row.number}, {problem}")
        by_name[clip.name] = row
    if not any(row.group or row.splits for row in rows):
        others = f"; it has {shorten(table.ignored)}, which is not read" if table.ignored else ""
        raise DataError(
            f"{spelled(path)}: has neither a column group nor a column split, which data.table is for{others}"
        )
    absent = [clip.name for clip in dataset.clips if clip.name not in by_name]
    if absent:
        raise DataError(
            f"{spelled(path)}: has no row for {len(absent)} clips of {dataset.shown}: {shorten(absent)}"
        )
    ordered = [by_name[clip.name] for clip in dataset.clips]
    clips = tuple(
        replace(c, group=row.group or c.group) for c, row in zip(dataset.clips, ordered, strict=True)
    )
    notes = (*dataset.notes, *table.unread(path))
    return _with_splits(replace(dataset, clips=clips, notes=notes), ordered)


def _finder(dataset: VideoDataset) -> Callable[[str], list[Clip]]:
    """A function from the name in a row to the clips that it may mean: by their names, else by stems;
    Unicode's normal forms are alike."""
    exact = {clip.name: clip for clip in dataset.clips}
    by_name: dict[str, list[Clip]] = {}
    by_stem: dict[str, list[Clip]] = {}
    for clip in dataset.clips:
        by_name.setdefault(composed(clip.name), []).append(clip)
        by_stem.setdefault(_stem(clip.name), []).append(clip)

    def find(name: str) -> list[Clip]:
        if name in exact:
            return [exact[name]]
        return by_name.get(composed(name)) or by_stem.get(_stem(name), [])

    return find


def _stem(name: str) -> str:
    return composed(PurePosixPath(name).with_suffix("").as_posix())


def _checked(table: TableRows, duration: Duration | None) -> TableRows:
    """The table with the segments outside of their videos among its problems."""
    if duration is None:
        return table
    ends: dict[Path, float] = {}
    for row in table.rows:
        if row.segment is not None:
            ends[row.path] = max(ends.get(row.path, 0.0), row.segment.end)
    seconds = {path: duration(path, end) for path, end in ends.items()}
    rows, problems = [], list(table.problems)
    for row in table.rows:
        problem = None if row.segment is None else _outside(row.number, row.segment, seconds[row.path])
        if problem is None:
            rows.append(row)
        else:
            problems.append(problem)
    return replace(table, rows=rows, problems=sorted(problems, key=lambda problem: problem.row))


def _outside(number: int, segment: Segment, end: float | None) -> TableProblem | None:
    """What is wrong with a segment of a video of so many seconds."""
    if end is None:
        return None
    if segment.start >= end - SAME_TIME:
        return TableProblem(
            number, "start", f"{segment.start:.10g} s is behind the video's end at {end:.3f} s"
        )
    if segment.end > end + LATE_END:
        return TableProblem(number, "end", f"{segment.end:.10g} s is behind the video's end at {end:.3f} s")
    return None


def _clips(path: Path, table: TableRows, rows: Sequence[TableRow]) -> tuple[Clip, ...]:
    """A clip per row.

    Raises:
        DataError: two rows give one part of a video two labels.
    """
    first: dict[str, TableRow] = {}
    clips = []
    for row in rows:
        name = row.video if row.segment is None else f"{row.video}@{row.segment}"
        other = first.setdefault(name, row)
        if other.video == row.video and other is not row:
            problem = (
                f"{spelled(path)}, row {row.number}, column label: {name} is {row.label!r} here "
                f"and {other.label!r} in row {other.number}; a clip has one class"
            )
            raise DataError("; ".join([problem, *table.unread(path)]))
        clips.append(Clip(row.path, name, row.label, row.group, row.segment))
    return tuple(clips)


def _with_splits(dataset: VideoDataset, rows: Sequence[TableRow]) -> VideoDataset:
    """The data set with the splits that a table names.

    Raises:
        DataError: a split has no clip to train or to test on.
    """
    official, validation = {}, {}
    for split in sorted({split for row in rows for split in row.splits}, key=lambda name: int(name[5:])):
        parts: dict[str, set[str]] = {"train": set(), "val": set(), "test": set()}
        for clip, row in zip(dataset.clips, rows, strict=True):
            if split in row.splits:
                parts[row.splits[split]].add(clip.name)
        official[split] = (frozenset(parts["train"]), frozenset(parts["test"]))
        if parts["val"]:
            validation[split] = frozenset(parts["val"])
    official = official or dataset.official
    return replace(dataset, official=official, validation=validation or dataset.validation)


def _with_groups(dataset: VideoDataset, rows: Sequence[TableRow]) -> VideoDataset:
    """Clips of a video that the table names no group for are a group; a table of whole videos needs none.

    Where the table itself puts clips of such a video into different parts of a split,
    each part is a group of its own.
    """
    videos = Counter(clip.video for clip in dataset.clips)
    sides: dict[str, set[tuple[tuple[str, str], ...]]] = {}
    for clip, row in zip(dataset.clips, rows, strict=True):
        sides.setdefault(clip.video, set()).add(tuple(sorted(row.splits.items())))
    divided = sorted({c.video for c in dataset.clips if c.group is None and len(sides[c.video]) > 1})
    grouped = max(videos.values(), default=0) > 1 or any(row.group for row in rows)
    clips = []
    for clip, row in zip(dataset.clips, rows, strict=True):
        group = clip.group
        if group is None and grouped:
            parts = " ".join(row.splits.values())
            group = f"{clip.video} ({parts})" if clip.video in divided else clip.video
        clips.append(replace(clip, group=group))
    notes = list(dataset.notes)
    if divided:
        notes.append(
            f"the table puts segments of {len(divided)} video(s) on two sides of a split: "
            f"{shorten(divided)}; scores are higher than on videos that were not seen in training"
        )
    return replace(dataset, clips=tuple(clips), notes=tuple(notes))


def _notes(path: Path, table: TableRows, rows: Sequence[TableRow]) -> list[str]:
    """What a user should know of a table that is read."""
    notes = table.unread(path)
    if notes:  # the times may be in what is not read
        notes += table.without_times(path)
    pairs = overlaps(rows)
    if pairs:
        first, second = pairs[0]
        notes.append(
            f"{path.name}: {len(pairs)} segment(s) overlap one with another label, "
            f"such as row {second.number} ({second.label}) and row {first.number} "
            f"({first.label}) of {first.video}: both are read as they are"
        )
    groups: dict[str, set[str]] = {}
    for row in rows:
        if row.group is not None:
            groups.setdefault(row.video, set()).add(row.group)
    several = [video for video, names in groups.items() if len(names) > 1]
    if several:
        notes.append(
            f"{path.name}: segments of {len(several)} video(s) are in different groups, "
            f"so that they may be trained and tested on: {shorten(several)}"
        )
    return notes
