"""The folder of a grid's results, which one grid at a time works in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from mv_tools.urls import is_url

from ..errors import MoclipError
from ..storage.lease import Lease
from ..storage.lock import FolderLock
from ..storage.objects import ObjectFolder

__all__ = ["held_folder"]

_LOCK: Final = ".moclip-grid.lock"  # at a URL; the runs below it have locks of their own


@contextmanager
def held_folder(out: Path, note: Callable[[str], None]) -> Iterator[None]:
    """Hold the folder of a grid's results, or its URL; a new folder in which nothing was left is removed.

    Args:
        out: the folder.
        note: told that the lock of a URL is being watched.

    Raises:
        MoclipError: another grid or search is at work there.
        CheckpointError, OSError: the same at a URL, or its server refuses.
    """
    if is_url(out):
        with Lease(ObjectFolder.at(out), _LOCK, "grid", note).held():
            yield
        return
    absent = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    refusal = f"another grid or search is at work in {out}; wait for it, or choose another --out"
    try:
        with FolderLock(out / ".lock").held(MoclipError(refusal)):
            yield
    finally:
        if absent:
            with suppress(OSError):  # not empty: the grid left something
                out.rmdir()
