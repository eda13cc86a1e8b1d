"""``moclip dataset import``: exports of annotation tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from .console import ConsoleReporter, err, print_json, print_table
from .options import Json, SkipMissing, finite

__all__ = ["import_table"]


Kind: TypeAlias = Annotated[str, typer.Argument(help="label-studio, cvat or mmaction.")]
Sources: TypeAlias = Annotated[
    list[str],
    typer.Argument(help="Exported files; train=FILE, validation=FILE or test=FILE says which part one is."),
]
Out: TypeAlias = Annotated[Path, typer.Option("--out", "-o", help="The table to write, a CSV file.")]
Videos: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="Folder in which videos are looked for; by default that of the first export."),
]
Classes: TypeAlias = Annotated[
    Path | None, typer.Option(help="mmaction: file of class names, a name or 'number name' in each line.")
]
Rate: TypeAlias = Annotated[
    float | None,
    typer.Option(
        min=0.001, max=1000, callback=finite, help="label-studio: frameRate of the labeling configuration."
    ),
]
Attribute: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="cvat: the attribute whose values are the classes, such as action; "
        "label-studio: the control (in JSON-MIN: the field) whose labels are."
    ),
]


def import_table(
    kind: Kind,
    sources: Sources,
    out: Out,
    videos: Videos = None,
    classes: Classes = None,
    rate: Rate = None,
    attribute: Attribute = None,
    skip_missing: SkipMissing = False,
    json: Json = False,
) -> None:
    """Convert exports of annotation tools to an annotation table.

    label-studio: JSON or JSON-MIN. cvat: XML for video 1.1, or its ZIP file. mmaction: lists of videos, or
    JSON in ActivityNet's form.

    Example: moclip dataset import label-studio export.json --videos videos --out table.csv
    """
    from ..datasets.importers.convert import ImportOptions, import_annotations
    from ..storage.files import check_output

    check_output(out)
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
