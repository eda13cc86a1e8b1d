"""``moclip tune``."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from mv_tools.urls import spelled

from .configuration import experiment_of
from .console import ConsoleReporter, print_json, print_table
from .options import Cache, Json, Quiet, Root, Seed, Sets, Source, Workers

if TYPE_CHECKING:
    from ..tune import TuneResult

__all__ = ["tune"]

_SHOWN = 10  # trials in the printed table; all are in trials.csv


Out: TypeAlias = Annotated[
    Path, typer.Option("--out", "-o", help="Folder of the trials and of best.yaml, or its URL.")
]
TuneBudget: TypeAlias = Annotated[
    str, typer.Option(help="Trials (40), time (90s, 30m, 2h) or both (40,2h); earlier attempts count.")
]
Search: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(help="Values to choose among: KEY=[VALUE, ...]. Repeatable; replaces the default ones."),
]
Fold: TypeAlias = Annotated[str | None, typer.Option(help="Fold to choose on; the first by default.")]
Parts: TypeAlias = Annotated[
    int,
    typer.Option(
        min=0,
        max=20,
        help="Parts of train and validation, each validated on once; "
        "1 for the fold's own validation; 0 for 3 below 500 clips.",
    ),
]


def tune(
    experiment: Source,
    sets: Sets = None,
    root: Root = None,
    out: Out = Path("runs/tune"),
    budget: TuneBudget = "30",
    search: Search = None,
    fold: Fold = None,
    parts: Parts = 0,
    seed: Seed = None,
    workers: Workers = None,
    cache: Cache = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Choose settings of the motion stream on validation clips, within a budget.

    Every trial is kept in OUT/trials.csv; OUT/best.yaml is a configuration for moclip run. After an
    interruption the same command resumes. Test clips are never read.

    Example: moclip tune experiments/folder.yaml --root DIR --budget 2h --out runs/tune
    """
    from ..storage.files import check_output_folder
    from ..tune import Budget, read_space
    from ..tune import tune as search_settings

    check_output_folder(out)
    named = {"data.root": root, "run.seed": seed, "run.workers": workers, "cache.dir": cache}
    result = search_settings(
        experiment_of(experiment, sets, named),
        read_space(search or []),
        Budget.parse(budget),
        out,
        ConsoleReporter(quiet),
        fold=fold,
        parts=parts,
    )
    if json:
        print_json(
            {
                "best": {**vars(result.best)},
                "trials": len(result.trials),
                "config": spelled(result.file),
                "table": spelled(out / "trials.csv"),
            }
        )
        return
    _print(result)
    typer.echo(f"moclip run {spelled(result.file)} --set run.dir=DIR")


def _print(result: TuneResult) -> None:
    ranked = sorted(result.trials, key=lambda trial: (trial.state != "done", -trial.score))[:_SHOWN]
    keys = [k for k in result.best.settings if len({str(t.settings.get(k)) for t in result.trials}) > 1]
    rows = [
        [
            str(trial.number),
            trial.state,
            f"{trial.accuracy:.1f}" if trial.state != "failed" else "",
            *(json_format.dumps(trial.settings.get(key)).strip('"') for key in keys),
        ]
        for trial in ranked
    ]
    print_table(f"{len(result.trials)} trials, best first", ["trial", "state", "validation %", *keys], rows)
