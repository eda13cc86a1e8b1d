"""``moclip dataset import`` and the listing of annotation tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import DataError
from .console import ConsoleReporter, err, print_json, print_table
from .options import Json, SkipMissing, finite

if TYPE_CHECKING:
    from ..datasets import VideoDataset
    from ..datasets.settings import DataSettings
    from ..datasets.table import TableProblem

__all__ = ["import_table", "list_table"]


def import_table(
    kind: Annotated[str, typer.Argument(help="label-studio, cvat or mmaction.")],
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Exported files; train=FILE, validation=FILE or test=FILE says which part one is."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The table to write, a CSV file.")],
    videos: Annotated[
        Path | None,
        typer.Option(help="Folder in which videos are looked for; by default that of the first export."),
    ] = None,
    classes: Annotated[
        Path | None, typer.Option(help="mmaction: file of class names, a name or 'number name' in each line.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=1000,
            callback=finite,
            help="label-studio: frameRate of the labeling configuration.",
        ),
    ] = None,
    attribute: Annotated[
        str | None, typer.Option(help="cvat: the attribute whose values are the classes, such as action.")
    ] = None,
    skip_missing: SkipMissing = False,
    json: Json = False,
) -> None:
    """Convert exports of annotation tools to an annotation table.

    label-studio: JSON or JSON-MIN. cvat: XML for video 1.1, or its ZIP file. mmaction: lists of videos, or JSON in
    ActivityNet's form.

    Example: moclip dataset import label-studio export.json --videos videos --out table.csv
    """
    from ..datasets.importers.convert import ImportOptions, import_annotations

    if videos is None:
        videos = Path(sources[0].partition("=")[2] or sources[0]).parent
    options = ImportOptions(videos, classes, rate, attribute, skip_missing)
    report = import_annotations(kind, sources, out, options)
    if json:
        values = {name: getattr(report, name) for name in ("rows", "videos", "labels", "notes")}
        print_json({"out": str(out), **values})
        return
    reporter = ConsoleReporter()
    for note in report.notes:
        reporter.warn(note)
    rows = [[label, str(count)] for label, count in report.labels.items()]
    print_table(f"{out}: {report.rows} rows of {report.videos} videos", ["class", "rows"], rows)
    err.print(f"next: moclip dataset list {out}", markup=False)


def list_table(data: DataSettings, json: bool) -> None:
    """Print classes, clips, groups and seconds of an annotation table, or all its problems.

    Raises:
        DataError: it has problems.
    """
    from ..datasets.segments import video_seconds
    from ..datasets.table.load import table_problems
    from ..experiment.dataset import data_root, data_table, load_dataset

    path, videos = data_table(data), data_root(data)
    problems = table_problems(path, videos=videos, duration=video_seconds)
    if data.skip_missing:
        problems = [problem for problem in problems if not problem.missing]
    if problems:
        _refuse(path, problems, json)
    dataset = load_dataset(data, 1, ConsoleReporter())
    _print_classes(path, dataset, json)


def _refuse(path: Path, problems: Sequence[TableProblem], json: bool) -> None:
    """Print problems.

    Raises:
        DataError: always.
    """
    if json:
        rows = [{"row": p.row, "column": p.column, "reason": p.reason} for p in problems]
        print_json({"table": str(path), "problems": rows})
    else:
        print_table(
            f"{path}: {len(problems)} row(s) with problems",
            ["row", "column", "problem"],
            [[str(p.row), p.column, p.reason] for p in problems],
        )
    first = problems[0]
    raise DataError(f"{path}, {first.place}: {first.reason} ({len(problems)} row(s) with problems)")


def _print_classes(path: Path, dataset: VideoDataset, json: bool) -> None:
    from ..datasets.segments import video_seconds

    seconds: dict[str, list[float]] = defaultdict(list)
    groups: dict[str, set[str]] = defaultdict(set)
    lengths: dict[Path, float | None] = {}
    for clip in dataset.clips:
        if clip.segment is not None:
            seconds[clip.label].append(clip.segment.end - clip.segment.start)
        else:
            if clip.path not in lengths:
                lengths[clip.path] = video_seconds(clip.path, 0.0)
            seconds[clip.label].append(lengths[clip.path] or 0.0)
        if clip.group:
            groups[clip.label].add(clip.group)
    splits = {
        name: {"train": len(train), "validation": len(dataset.validation.get(name, ())), "test": len(test)}
        for name, (train, test) in dataset.official.items()
    }
    counts = dataset.counts()
    videos = len({clip.path for clip in dataset.clips})
    if json:
        classes: list[dict[str, Any]] = [
            {
                "label": label,
                "clips": count,
                "groups": sorted(groups[label]),
                "seconds": round(sum(seconds[label]), 3),
                "shortest": round(min(seconds[label]), 3),
                "longest": round(max(seconds[label]), 3),
            }
            for label, count in counts.items()
        ]
        print_json(
            {
                "table": str(path),
                "root": str(dataset.root),
                "clips": len(dataset.clips),
                "videos": videos,
                "classes": classes,
                "splits": splits,
                "notes": list(dataset.notes),
                "problems": [],
            }
        )
        return
    rows = [
        [label, str(count), str(len(groups[label])), *_lengths(seconds[label])]
        for label, count in counts.items()
    ]
    header = ["class", "clips", "groups", "seconds", "shortest", "longest"]
    print_table(f"{path}: {len(dataset.clips)} clips of {videos} videos", header, rows)
    for name, parts in splits.items():
        err.print(f"{name}: " + ", ".join(f"{count} {part}" for part, count in parts.items()), markup=False)


def _lengths(seconds: Sequence[float]) -> list[str]:
    return [f"{value:.1f}" for value in (sum(seconds), min(seconds), max(seconds))]
