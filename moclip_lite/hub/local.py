"""The local folder of a run that is given as a folder, a URL or hf://USER/NAME."""

from __future__ import annotations

from pathlib import Path

from ..progress import Reporter, Silent
from ..storage.snapshot import snapshot
from .address import HubAddress

__all__ = ["local_run", "run_name"]


def run_name(run: Path | str, folder: Path) -> str:
    """The name of a run for people: that of a repository with its commit, else that of the folder.

    Args:
        run: a folder, its URL or hf://USER/NAME[@REVISION].
        folder: what :func:`local_run` gave for it.
    """
    if not HubAddress.is_meant(run):
        return folder.resolve().name
    return f"{HubAddress.parse(Path(run).as_posix()).repository} (commit {folder.name[:8]})"


def local_run(run: Path | str, reporter: Reporter | None = None) -> Path:
    """The folder of a run that is given as a folder, as its URL or as hf://USER/NAME[@REVISION].

    Raises:
        ConfigError, HubError: see :func:`moclip_lite.hub.pull.fetched`.
        CheckpointError: there is no run folder, or a damaged one.
        OSError: the URL can't be read.
    """
    if not HubAddress.is_meant(run):  # the usual case imports nothing
        return snapshot(Path(run))
    from .pull import fetched

    return fetched(HubAddress.parse(Path(run).as_posix()), reporter or Silent())
