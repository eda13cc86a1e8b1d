"""The folder of a trained run, of which a session may ask for some folds alone."""

from __future__ import annotations

from pathlib import Path

from ..errors import CheckpointError
from ..results.metrics import Metrics
from ..results.run_folder import RunFolder
from ..storage.files import read_json
from .session import Session

__all__ = ["trained_run"]


def trained_run(session: Session, folder: Path) -> RunFolder:
    """The run folder with the folds of its training, where those of the session are among them.

    The folds of one of several seeds get the names that they have in the run, such as "split1-seed2".

    Args:
        session: made from the run's configuration, perhaps with fewer splits or seeds.
        folder: of the run.
    """
    names, seeds = _fold_names(RunFolder(folder)), session.experiment.run.all_seeds
    repeated = [fold.repeated(seeds[0]) for fold in session.folds]
    if len(seeds) == 1 and {fold.name for fold in repeated} <= set(names):
        session.folds = repeated
    asked = [fold.name for fold in session.folds]
    return RunFolder(folder, names if set(asked) <= set(names) else asked)


def _fold_names(run: RunFolder) -> list[str]:
    """Names of the folds of a run; of one that is not finished, those that have begun."""
    try:
        return list(Metrics.read(run.metrics).folds)
    except CheckpointError:
        pass
    names = []
    for folder in run.fold_folders():
        try:
            names.append(str(read_json(folder.division)["fold"]))
        except (CheckpointError, KeyError, TypeError):
            continue  # which is said where the division matters
    return names
