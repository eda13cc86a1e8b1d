"""Results of earlier grids in a grid's folder: what is reported of them, and which are removed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mv_tools import MotionError
from mv_tools.urls import is_url, spelled

from ..errors import MoclipError
from ..experiment.fingerprint import changed_settings
from ..experiment.session import Session
from ..experiment.settings.asked_flips import without_decided_flips
from ..results.run_folder import RunFolder
from ..storage.objects import ObjectFolder
from .grid import Ablation, GridRun
from .summary import CELLS, cells_line

__all__ = ["of_another_grid", "remove_tables", "replaced_runs"]

_SUMMARY: Final = "summary.md"
_TABLES: Final = (*(_SUMMARY, "summary.csv", "differences.csv"), *("table.csv", "table.parquet", "plot.png"))
"""What is made of the runs at the end, with the summary first."""


def of_another_grid(out: Path, ablation: Ablation) -> str:
    """A sentence on tables of other cells or seeds in the folder; "" if there are none."""
    if is_url(out):
        data = ObjectFolder.at(out).read(_SUMMARY) or b""
    else:
        data = (out / _SUMMARY).read_bytes() if (out / _SUMMARY).is_file() else b""
    lines = data.decode("utf-8", "replace").splitlines()
    before = next((line for line in lines if line.startswith(CELLS)), None)  # older ones have none
    if before in (None, cells_line(ablation)):
        return ""
    return (
        f"{spelled(out)}: the tables of another grid are replaced ({before}); "
        "its runs stay, and another --out keeps its tables"
    )


def remove_tables(out: Path) -> None:
    """Remove tables and figure of earlier calls, before cells replace the runs that they are made of."""
    for name in _TABLES:
        if is_url(out):
            ObjectFolder.at(out).remove(name)
        else:
            (out / name).unlink(missing_ok=True)


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
        changes = changed_settings(folder.config, without_decided_flips(folder, session.saved_experiment))
        # A run keeps what it has chosen: its settings may differ from those that were asked for.
        return changes if changes and folder.read_finished(session.fingerprint) is None else ""
    except (MoclipError, MotionError, OSError):  # the cell says why
        return ""
