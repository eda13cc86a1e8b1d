"""Results of a grid's finished runs: where they are read, and whether they are those that were asked for."""

from __future__ import annotations

from pathlib import Path

from mv_tools.urls import is_url

from ..errors import CheckpointError
from ..results.metrics import Metrics
from ..results.run_folder import RunFolder
from ..storage.objects import ObjectFolder
from ..streams import Stream
from .grid import GridRun

__all__ = ["other_results", "with_results_here"]


def with_results_here(run: GridRun, folder: Path) -> GridRun:
    """The run with its metrics and predictions, in a local folder.

    Where the run's own folder is at a URL, a node may have made it.

    Raises:
        OSError: they can't be read.
        SourceChanged: they change meanwhile.
    """
    given = run.experiment.run.dir
    if not is_url(given):
        return run
    remote, local = ObjectFolder.at(given), RunFolder(folder)
    for name in remote.names():
        if folder / name in (local.metrics, *map(local.predictions, Stream)):
            remote.fetch(name, folder / name)
    settings = run.experiment.run.model_copy(update={"dir": folder})
    return run._replace(experiment=run.experiment.model_copy(update={"run": settings}))


def other_results(run: GridRun, fingerprint: str, shown: str) -> str:
    """Why the results in a run's folder are not those of the run; "" where they are.

    Args:
        run: a run that was done, or found finished.
        fingerprint: of the run.
        shown: its folder or URL.
    """
    try:
        metrics = Metrics.read(RunFolder(run.experiment.run.dir).metrics)
    except CheckpointError:
        found = "its results are gone or damaged"
    else:
        if fingerprint in (metrics.fingerprint, metrics.resolved_fingerprint):
            return ""
        found = "its folder holds results of other settings, clips or code"
    return f"{found} ({shown}): another command worked there meanwhile; run the grid again"
