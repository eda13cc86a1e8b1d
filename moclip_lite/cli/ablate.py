"""``moclip ablate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from mv_tools.urls import spelled

from .configuration import overrides_of, refuse_idle
from .console import ConsoleReporter, print_json, print_table
from .options import Cache, Json, Pretrained, Quiet, RayAddress, Root, RunEngine, Sets, WeightsOf, Workers

if TYPE_CHECKING:
    from ..ablate import Ablation, AblationResult
    from ..experiment.config import RunSettings
    from ..parallel.runner import JobRunner

__all__ = ["ablate"]


Grids: TypeAlias = Annotated[list[Path], typer.Argument(help="YAML files with base, grid and seeds.")]
Out: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Folder of results, or its URL: default runs/ablations/NAME; OUT/NAME for several grids.",
    ),
]


def ablate(
    grids: Grids,
    sets: Sets = None,
    root: Root = None,
    out: Out = None,
    pretrained: Pretrained = None,
    weights_of: WeightsOf = None,
    workers: Workers = None,
    engine: RunEngine = None,
    ray_address: RayAddress = None,
    cache: Cache = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run grids of configurations over several seeds; write tables, comparisons and plots.

    Runs are done in parallel processes (--workers), or on the nodes of a cluster (--engine ray). After an
    interruption the same command resumes.

    Example: moclip ablate experiments/ablations/fusion_variant.yaml --root DIR
    """
    from ..ablate import load_ablation, records, run_ablation
    from ..errors import MoclipError
    from ..storage.files import check_output_folder

    if out is not None:
        check_output_folder(out)
    named = {
        "data.root": root,
        "clip.pretrained": pretrained,
        "clip.weights_of": weights_of,
        "run.workers": workers,
        "run.engine": engine,
        "run.ray_address": ray_address,
        "cache.dir": cache,
    }
    ablations = [load_ablation(path, (*(sets or []), *overrides_of(named))) for path in grids]
    for ablation in ablations:
        refuse_idle(_run_settings(ablation), named)
    alone = out is not None and len(ablations) == 1
    places = [(out or Path("runs/ablations")) / ("" if alone else ablation.name) for ablation in ablations]
    _refuse_shared(grids, places)
    for folder in places:
        check_output_folder(folder)
    reporter = ConsoleReporter(quiet)
    rows: list[dict[str, Any]] = []
    failures = 0
    for ablation, folder in zip(ablations, places, strict=True):
        result = run_ablation(ablation, folder, reporter, _runner(ablation, reporter))
        rows += [{"ablation": ablation.name, **row} for row in records(result.summary)]
        failures += len(result.failures)
        if not json:
            _print(ablation, result)
            reporter.say(f"{spelled(folder / 'summary.md')}, table.csv, table.parquet, plot.png")
    if json:
        print_json(rows)
    if failures:
        raise MoclipError(f"{failures} run(s) failed; the tables contain the others")


def _refuse_shared(grids: list[Path], places: list[Path]) -> None:
    """Refuse grids whose results would lie in one folder.

    Raises:
        ConfigError: there are such.
    """
    from ..errors import ConfigError

    first: dict[Path, Path] = {}
    for grid, place in zip(grids, places, strict=True):
        if place in first:
            raise ConfigError(
                f"the results of {spelled(first[place])} and of {spelled(grid)} would both be written to "
                f"{spelled(place)}; rename one of the files, or name another --out in a call of its own"
            )
        first[place] = grid


def _run_settings(ablation: Ablation) -> RunSettings:
    """How the cells are run: that of the first."""
    return ablation.experiment(ablation.cells()[0], ablation.seeds[0], Path()).run


def _runner(ablation: Ablation, reporter: ConsoleReporter) -> JobRunner:
    """Who runs the cells, as the configuration says."""
    from ..parallel.runner import make_runner

    run = _run_settings(ablation)
    return make_runner(run.engine, run.workers, run.ray_address, reporter.say)


def _print(ablation: Ablation, result: AblationResult) -> None:
    from ..ablate import cell_words, difference_table, mean_table
    from ..streams import Stream

    print_table(f"{ablation.name}: means over runs", *mean_table(ablation, result.summary))
    if len(result.differences):
        words = Stream(ablation.stream).words
        title = f"{words}: points from {cell_words(ablation.reference)}, on the same clips"
        print_table(title, *difference_table(ablation, result.differences))
