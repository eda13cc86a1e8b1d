"""``moclip compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mv_tools.urls import spelled

from .console import err, print_document, print_json
from .options import Json, run_folder

__all__ = ["compare"]


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; the others are compared with the first.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write a page (.html) or Markdown (.md).")
    ] = None,
    json: Json = False,
) -> None:
    """Compare runs: scores, differences on the same clips, settings, costs.

    Example: moclip compare runs/baseline runs/mine --out compare.html
    """
    from ..results.compare import compare_runs
    from ..results.report.comparison import comparison_document, renderer_of, write_comparison
    from ..storage.files import check_output

    if out is not None:
        renderer_of(out)
        check_output(out)
    comparison = compare_runs([run_folder(run) for run in runs])
    if out is not None:
        write_comparison(comparison, out)
    if json:
        print_json(comparison.as_dict())
        return
    print_document(comparison_document(comparison))
    if out is not None:
        err.print(f"written: {spelled(out)}", markup=False)
