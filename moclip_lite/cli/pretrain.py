"""``moclip pretrain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from ..motion.settings import PRETRAIN_STEPS
from .configuration import experiment_of
from .console import ConsoleReporter, print_json
from .options import Json, Quiet, Seed, Sets

__all__ = ["pretrain"]

_LOOKED_AT: Final = ("run.seed", "run.device")
"""Settings that count beside those of motion."""

Out: TypeAlias = Annotated[
    Path, typer.Option("--out", "-o", help="Safetensors file of the weights to write.")
]
Steps: TypeAlias = Annotated[
    int,
    typer.Option(min=1, max=10_000_000, help="Steps of the optimizer on 32 clips each, rounded to hundreds."),
]
Settings: TypeAlias = Annotated[
    Path,
    typer.Argument(help="An experiment's YAML file or a run folder, whose settings of motion are taken."),
]
Half: TypeAlias = Annotated[bool, typer.Option("--half", help="Write half-precision numbers: half the size.")]


def pretrain(
    experiment: Settings,
    out: Out = Path("pretrained.safetensors"),
    steps: Steps = PRETRAIN_STEPS,
    half: Half = False,
    sets: Sets = None,
    seed: Seed = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Pre-train the motion network of an experiment on generated motion of figures; no videos are needed.

    Networks of the default settings start from such weights already (motion.pretrained=auto). For another
    grid, window or width, make them here and train with --set motion.pretrained=FILE. An interrupted training
    is resumed by the same command.

    Example: moclip pretrain experiments/motion_small.yaml -o pretrained.safetensors
    """
    from ..experiment.config import key_of
    from ..experiment.pretraining import pretrain as train

    for key in map(key_of, sets or []):
        if not key.startswith("motion.") and key not in _LOOKED_AT:
            raise typer.BadParameter(
                f"--set has no effect on {key}: generated motion has its own training, whose length is "
                f"--steps; settings of motion, {' and '.join(_LOOKED_AT)} count"
            )
    settings = experiment_of(experiment, sets, {"run.seed": seed})
    reporter = ConsoleReporter(quiet)
    run = settings.run
    result = train(settings.motion, out, reporter, seed=run.seed, device=run.device, steps=steps, half=half)
    reporter.close()
    if json:
        print_json({"file": str(out), "accuracy": result.best_accuracy, "seconds": result.seconds})
        return
    typer.echo(
        f"{out}: tells generated actions apart in {result.best_accuracy:.1f} % of new clips; "
        f"use it with --set motion.pretrained={out}"
    )
