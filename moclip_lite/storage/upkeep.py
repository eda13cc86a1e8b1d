"""Looking after a cache: damaged entries, and removal of what is old."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from ..errors import CheckpointError
from .cache import KEY_LENGTH, Entry, FeatureCache
from .files import cache_access

__all__ = ["ENCODERS", "HUB", "HUB_LOCK", "other_entries", "prune", "remove_run", "verify"]

ENCODERS: Final = "encoder_onnx"
"""Image encoders as ONNX files, ``root/encoder_onnx/ke/key.onnx``: counted and pruned as a stage."""


HUB: Final = "hub"
"""Run folders of the hub, ``root/hub/user--name/commit``: each is counted and pruned as an entry."""
HUB_LOCK: Final = ".lock"
"""In the folder of a repository: held by who fetches or removes its run folders."""


def other_entries(cache: FeatureCache) -> list[Entry]:
    """What is not one file per clip: image encoders as ONNX files, whose digests run folders hold, and run
    folders of the hub. None at a URL."""
    if cache.far is not None:
        return []
    entries = []
    for path in sorted(cache.root.glob(f"{ENCODERS}/??/*.onnx")):
        if len(path.stem) == KEY_LENGTH:
            with suppress(OSError):  # removed by another process
                stat = path.stat()
                entries.append(Entry(ENCODERS, path.stem, path, stat.st_size, stat.st_mtime))
    for path in sorted(cache.root.glob(f"{HUB}/*--*/*")):
        if path.is_dir():
            with suppress(OSError):  # removed by another process
                size, modified = _folder_size(path), path.stat().st_mtime
                entries.append(Entry(HUB, f"{path.parent.name}/{path.name}", path, size, modified))
    return entries


def _folder_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def verify(cache: FeatureCache) -> list[tuple[Entry, str]]:
    """Read every entry; return the damaged ones with the reason. None is removed."""
    damaged = []
    for entry in cache.entries():
        try:
            if cache.far is not None:
                cache.read_bytes(cache.far.read(entry.stage, entry.key) or b"", entry.key)
            else:
                with cache_access(cache.root):
                    cache.read_file(entry.path, entry.key)
        except CheckpointError as error:
            damaged.append((entry, str(error)))
    return damaged


def prune(
    cache: FeatureCache, stage: str | None = None, older_than_days: float | None = None
) -> tuple[int, int]:
    """Remove entries of one stage (or all) that are older than a number of days (or of any age).

    Drafts and locks that killed processes left are removed a day after they were made; locks in use stay, and
    so do run folders of a hub repository that is being fetched.

    Returns:
        (entries removed, bytes freed).

    Raises:
        CacheUnavailable: the folder can't be written.
    """
    limit = time.time() - 86_400 * older_than_days if older_than_days is not None else None
    count, freed = 0, 0
    with cache_access(cache.root):
        for draft in [path for path in cache.root.glob("*/??/.*.safetensors") if _old(path)]:
            draft.unlink(missing_ok=True)
        for lock in [path for path in cache.root.glob("locks/*.lock") if _old(path)]:
            _remove_free(lock)
    for entry in [*cache.entries(), *other_entries(cache)]:
        if (stage is None or entry.stage == stage) and (limit is None or entry.modified < limit):
            if entry.stage == HUB and "/" in entry.key:  # a run folder, also if it is gone meanwhile
                if not _remove_run(entry.path):
                    continue
            else:
                cache.remove(entry)
            count, freed = count + 1, freed + entry.size
    return count, freed


def _remove_run(folder: Path) -> bool:
    """Remove a run folder of the hub; False where another process fetches its repository or removed it."""
    with cache_access(folder.parent):
        lock = FileLock(folder.parent / HUB_LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        try:
            present = folder.is_dir()
            remove_run(folder)
        finally:
            lock.release()
    return present


def remove_run(folder: Path) -> None:
    """Remove a run folder of the hub; it is renamed first, so that no process takes what is left for a run.

    The caller holds the lock of its repository. What a killed removal leaves is removed by the next fetch.
    """
    leftover = folder.with_name(f".{folder.name.lstrip('.')}-removed")
    with suppress(FileNotFoundError):  # of a removal that was killed
        shutil.rmtree(leftover)
    with suppress(FileNotFoundError):  # removed by another process
        shutil.rmtree(folder.rename(leftover))


def _old(path: Path) -> bool:
    """Whether a file was last written more than a day ago."""
    try:
        return path.stat().st_mtime < time.time() - 86_400
    except FileNotFoundError:  # removed by another process
        return False


def _remove_free(path: Path) -> None:
    """Remove a lock that no process holds."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return
    try:
        path.unlink(missing_ok=True)
    finally:
        lock.release()
