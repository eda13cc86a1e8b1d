"""What a grid says of results of other settings in its folder, which its runs replace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mv_tools import MotionError
from mv_tools.urls import is_url

from ..errors import MoclipError
from ..experiment.fingerprint import changed_settings
from ..experiment.session import Session
from ..results.run_folder import RunFolder
from .grid import GridRun

__all__ = ["replaced_runs"]


def replaced_runs(runs: Sequence[GridRun], out: Path) -> str:
    """A sentence on finished runs of other settings whose folders the grid's runs take; "" if there are none.

    Args:
        runs: of the grid, whose features are in the cache; those at URLs are left out.
        out: folder of all results.
    """
    changes = [words for run in runs if (words := _changes(run))]
    if not changes:
        return ""
    different = list(dict.fromkeys(changes))
    more = "; not all of them in the same settings" if len(different) > 1 else ""
    return (
        f"{out}: the results of {len(changes)} earlier runs are removed ({different[0]}{more}); "
        "another --out keeps them"
    )


def _changes(run: GridRun) -> str:
    """Settings in which a finished run in the folder differs; "" if there is none, or it is this one."""
    if is_url(run.experiment.run.dir):
        return ""
    folder = RunFolder(run.experiment.run.dir)
    if not folder.metrics.is_file():
        return ""
    try:
        # What it reads is in the cache, so that it needs no cluster.
        settings = run.experiment.run.model_copy(update={"engine": "local"})
        session = Session(run.experiment.model_copy(update={"run": settings}))
        changes = changed_settings(folder.config, session.saved_experiment)
        # A run keeps what it has chosen: its settings may differ from those that were asked for.
        return changes if changes and folder.read_finished(session.fingerprint) is None else ""
    except (MoclipError, MotionError, OSError):  # the cell says why
        return ""
