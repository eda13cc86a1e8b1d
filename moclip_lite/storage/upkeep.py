"""Looking after a cache: damaged entries, and removal of what is old."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from ..errors import CheckpointError
from .cache import KEY_LENGTH, Entry, FeatureCache
from .files import cache_access

__all__ = ["ENCODERS", "encoder_files", "prune", "verify"]

ENCODERS: Final = "encoder_onnx"
"""Image encoders as ONNX files, ``root/encoder_onnx/ke/key.onnx``: counted and pruned as a stage."""


def encoder_files(cache: FeatureCache) -> list[Entry]:
    """The image encoders as ONNX files, none at a URL; the run folders that use them hold their digests."""
    if cache.far is not None:
        return []
    files = [(path, path.stat()) for path in sorted(cache.root.glob(f"{ENCODERS}/??/*.onnx"))]
    return [
        Entry(ENCODERS, path.stem, path, stat.st_size, stat.st_mtime)
        for path, stat in files
        if len(path.stem) == KEY_LENGTH
    ]


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

    Drafts and locks that killed processes left are removed a day after they were made; locks in use stay.

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
    for entry in [*cache.entries(), *encoder_files(cache)]:
        if (stage is None or entry.stage == stage) and (limit is None or entry.modified < limit):
            cache.remove(entry)
            count, freed = count + 1, freed + entry.size
    return count, freed


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
