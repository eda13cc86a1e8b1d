"""``moclip compare``: runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import err, print_json, print_table
from .options import Json

__all__ = ["compare"]


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; the others are set against the first.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write it as a page (.html) or in Markdown (.md).")] = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Set runs side by side: scores, what differs on the same clips, settings, costs.

    Example: moclip compare runs/baseline runs/mine --out compare.html
    """
    from ..results import compare as comparing

    found = comparing.compare_runs(runs)
    if out is not None:
        comparing.write_comparison(found, out)
    if json:
        print_json(found.as_dict())
        return
    print_table("scores", *found.score_table())
    print_table(f"against {found.names[0]}", comparing.DIFFERENCES, found.difference_rows())
    for d in found.differences:
        if d.stream == found.runs[0].main and (rows := found.class_rows(d)):
            print_table(f"classes that changed: {d.run}, {d.stream}", comparing.CLASSES, rows)
    if found.settings:
        print_table("settings that differ", ["setting", *found.names], found.setting_rows())
    for text in found.intervals():
        err.print(text, markup=False)
    for text in found.warnings():
        err.print(f"warning: {text}", markup=False, style="yellow")
    err.print(comparing.HOW, markup=False)
    if out is not None:
        err.print(f"written: {out}", markup=False)
