"""``moclip dataset list``: what a data set or an annotation table holds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mv_tools.urls import spelled

from ..errors import DataError
from ..progress import size_in_words
from .configuration import experiment_of, session_of
from .console import ConsoleReporter, err, print_json, print_table
from .options import Json, Sets, SkipMissing, Source

if TYPE_CHECKING:
    from ..datasets import VideoDataset
    from ..datasets.manifest import ManifestRow
    from ..datasets.settings import DataSettings
    from ..datasets.table import TableProblem

__all__ = ["list_dataset"]


def list_dataset(
    source: Source, sets: Sets = None, skip_missing: SkipMissing = False, json: Json = False
) -> None:
    """List classes, clips and groups of a data set; for a prepared one also frames, hours and splits, for an
    annotation table seconds and all rows with problems.

    Example: moclip dataset list data/weizmann --set data.group_pattern='^(.+?)_'
    """
    from ..datasets.manifest import MANIFEST, read_manifest, summarize

    experiment = experiment_of(source, sets, {"data.skip_missing": skip_missing})
    if experiment.data.kind == "table":
        _list_table(experiment.data, json)
        return
    dataset = session_of(experiment, quiet=True).dataset
    rows = read_manifest(dataset.root) if (dataset.root / MANIFEST).is_file() else []
    summary = summarize(rows) if rows else None
    counts, groups, notes = dataset.counts(), _groups(dataset), _unlike_manifest(dataset, rows)
    if json:
        classes = [
            {"label": label, "clips": count, "groups": groups[label]} for label, count in counts.items()
        ]
        listing = {"root": dataset.shown, "clips": len(dataset.clips), "classes": classes}
        print_json(listing | ({"manifest": summary, "notes": notes} if summary else {}))
        return
    table = [[label, str(count), str(len(groups[label]))] for label, count in counts.items()]
    print_table(f"{dataset.shown}: {len(dataset.clips)} clips", ["class", "clips", "groups"], table)
    if summary:
        err.print(_manifest_in_words(summary, rows), markup=False)
        for note in notes:
            ConsoleReporter().warn(note)


def _groups(dataset: VideoDataset) -> dict[str, list[str]]:
    """Class -> its groups, sorted."""
    groups: dict[str, set[str]] = {label: set() for label in dataset.labels}
    for clip in dataset.clips:
        if clip.group:
            groups[clip.label].add(clip.group)
    return {label: sorted(names) for label, names in groups.items()}


def _unlike_manifest(dataset: VideoDataset, rows: Sequence[ManifestRow]) -> list[str]:
    """How the videos of a prepared folder differ from those that its manifest counts."""
    from ..datasets.clip import shorten
    from ..datasets.prepare.originals import strays, strays_note

    if not rows:
        return []
    paths = {row.path: dataset.root / row.path for row in rows}
    notes = [strays_note(dataset.root, strays(dataset.root, paths.values()))]
    gone = sorted(name for name, path in paths.items() if not path.is_file())
    if gone:
        notes.append(
            f"{len(gone)} clips of the manifest, which its frames and hours count, are gone: {shorten(gone)}"
        )
    return [note for note in notes if note]


def _manifest_in_words(summary: dict[str, Any], rows: Sequence[ManifestRow]) -> str:
    sizes = summary["sizes"]
    shown = ", ".join(sizes)
    if len(sizes) > 3:
        frequent, clips = Counter(f"{row.width}x{row.height}" for row in rows).most_common(1)[0]
        shown = f"{len(sizes)} sizes from {sizes[0]} to {sizes[-1]}, most often {frequent} ({clips:,} clips)"
    splits = [f"{name}: {n['train']:,} train, {n['test']:,} test" for name, n in summary["splits"].items()]
    facts = (
        f"{summary['recipe']}: {summary['frames']:,} frames, {summary['hours']:.2f} h, "
        f"{size_in_words(1e6 * summary['megabytes'])}, {shown}"
    )
    return "; ".join([facts, *splits])


def _list_table(data: DataSettings, json: bool) -> None:
    """Print classes, clips, groups and seconds of an annotation table, or all its problems.

    Raises:
        DataError: it has problems.
    """
    from ..datasets.segments import video_seconds
    from ..datasets.table.load import checked_table
    from ..experiment.inputs.dataset import data_root, data_table, load_dataset

    path, videos = data_table(data), data_root(data)
    table = checked_table(path, videos=videos, duration=video_seconds)
    problems = table.problems
    if data.skip_missing:
        problems = [problem for problem in problems if not problem.missing]
    if problems:
        _refuse(path, problems, table.unread(path), json)
    dataset = load_dataset(data, 1, ConsoleReporter())
    _print_table_classes(path, dataset, json)


def _refuse(path: Path, problems: Sequence[TableProblem], notes: Sequence[str], json: bool) -> None:
    """Print problems, and notes on the table.

    Raises:
        DataError: always.
    """
    if json:
        rows = [{"row": p.row, "column": p.column, "reason": p.reason} for p in problems]
        print_json({"table": spelled(path), "problems": rows, "notes": list(notes)})
    else:
        print_table(
            f"{spelled(path)}: {len(problems)} row(s) with problems",
            ["row", "column", "problem"],
            [[str(p.row), p.column, p.reason] for p in problems],
        )
    first = problems[0]
    sentence = f"{spelled(path)}, {first.place}: {first.reason} ({len(problems)} row(s) with problems)"
    raise DataError("; ".join([sentence, *notes]))


def _print_table_classes(path: Path, dataset: VideoDataset, json: bool) -> None:
    counts, groups, seconds = dataset.counts(), _groups(dataset), _seconds(dataset)
    videos = len({clip.path for clip in dataset.clips})
    splits = {
        name: {"train": len(train), "validation": len(dataset.validation.get(name, ())), "test": len(test)}
        for name, (train, test) in dataset.official.items()
    }
    if json:
        classes: list[dict[str, Any]] = [
            {
                "label": label,
                "clips": count,
                "groups": groups[label],
                **{name: round(value, 3) for name, value in _lengths(seconds[label]).items()},
            }
            for label, count in counts.items()
        ]
        facts = {"table": spelled(path), "root": dataset.shown, "clips": len(dataset.clips), "videos": videos}
        notes = {"notes": list(dataset.notes), "problems": []}
        print_json({**facts, "classes": classes, "splits": splits, **notes})
        return
    rows = [
        [
            label,
            str(count),
            str(len(groups[label])),
            *(f"{value:.1f}" for value in _lengths(seconds[label]).values()),
        ]
        for label, count in counts.items()
    ]
    header = ["class", "clips", "groups", "seconds", "shortest", "longest"]
    print_table(f"{spelled(path)}: {len(dataset.clips)} clips of {videos} videos", header, rows)
    for name, parts in splits.items():
        err.print(f"{name}: " + ", ".join(f"{count} {part}" for part, count in parts.items()), markup=False)


def _seconds(dataset: VideoDataset) -> dict[str, list[float]]:
    """Class -> lengths of its clips; each whole video is opened once."""
    from ..datasets.segments import video_seconds

    seconds: dict[str, list[float]] = defaultdict(list)
    lengths: dict[Path, float | None] = {}
    for clip in dataset.clips:
        if clip.segment is not None:
            seconds[clip.label].append(clip.segment.end - clip.segment.start)
            continue
        if clip.path not in lengths:
            lengths[clip.path] = video_seconds(clip.path, 0.0)
        seconds[clip.label].append(lengths[clip.path] or 0.0)
    return seconds


def _lengths(seconds: Sequence[float]) -> dict[str, float]:
    return {"seconds": sum(seconds), "shortest": min(seconds), "longest": max(seconds)}
