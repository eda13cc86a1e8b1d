"""``moclip ablate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import ConsoleReporter, print_json, print_table
from .options import (
    Cache,
    Json,
    Pretrained,
    Quiet,
    Root,
    Sets,
    WeightsOf,
    Workers,
    overrides_of,
)

if TYPE_CHECKING:
    from ..ablate import Ablation, AblationResult

__all__ = ["ablate"]


def ablate(
    grids: Annotated[list[Path], typer.Argument(help="YAML files with base, grid and seeds.")],
    sets: Sets = None, root: Root = None, out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of results; runs/ablations/NAME by default, OUT/NAME for several grids.")] = None,
    pretrained: Pretrained = None, weights_of: WeightsOf = None, workers: Workers = None, cache: Cache = None, json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Run grids of configurations over several seeds; writes tables, comparisons and plots.

    Runs go on in parallel processes (--workers); an interrupted grid goes on where it was.

    Example: moclip ablate experiments/ablations/fusion_variant.yaml --root DIR
    """
    from ..ablate import load_ablation, records, run_ablation
    from ..errors import MoclipError

    chosen = {"data.root": root, "clip.pretrained": pretrained, "clip.weights_of": weights_of}
    named = overrides_of({**chosen, "cache.dir": cache})
    loaded = [load_ablation(path, (*(sets or []), *named)) for path in grids]
    reporter = ConsoleReporter(quiet)
    answers: list[dict[str, Any]] = []
    missed = 0
    for grid in loaded:
        folder = (
            Path("runs/ablations") / grid.name if out is None else out / grid.name if len(loaded) > 1 else out
        )
        result = run_ablation(grid, folder, reporter, workers or 0)
        answers += [{"ablation": grid.name, **row} for row in records(result.summary)]
        missed += len(result.failures)
        if not json:
            _print(grid, result, folder)
    if json:
        print_json(answers)
    if missed:
        raise MoclipError(f"{missed} run(s) could not be done; the tables hold the others")


def _print(grid: Ablation, result: AblationResult, folder: Path) -> None:
    from ..ablate import condense, records
    from ..streams import Stream

    keys = list(grid.grid)
    rows = [
        [
            *(str(r[k]) for k in keys), Stream(r["stream"]).words, f"{r['mean']:.1f}",
            f"{r['low']:.1f} to {r['high']:.1f}" if r["low"] == r["low"] else "-", str(r["runs"]),
        ]
        for r in records(condense(result.summary, keys))
    ]  # fmt: skip
    print_table(f"{grid.name}: means over runs", [*keys, "stream", "top-1 %", "95 % interval", "runs"], rows)
    if len(result.differences):
        rows = [
            [*(str(r[k]) for k in keys), f"{r['difference']:+.1f}", f"{r['low']:+.1f} to {r['high']:+.1f}", f"{r['p']:.3f}", r["verdict"]]
            for r in records(result.differences)
        ]  # fmt: skip
        reference = ", ".join(str(value) for value in grid.reference.values())
        title = f"{Stream(grid.stream).words}: points from {reference}, on the same clips"
        print_table(title, [*keys, "points", "95 % interval", "p", "verdict"], rows)
    ConsoleReporter().say(f"{folder / 'summary.md'}, table.csv, table.parquet, plot.png")
