"""Looking after a cache: damaged entries, and removal of what is old."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from ..errors import CacheUnavailable, CheckpointError, MoclipError
from .cache import KEY_LENGTH, Entry, FeatureCache
from .digest import digest_file
from .files import cache_access

__all__ = [
    "ENCODERS",
    "HUB",
    "HUB_LOCK",
    "Verified",
    "other_entries",
    "prune",
    "remove",
    "remove_run",
    "verify",
]

ENCODERS: Final = "encoder_onnx"
"""Image encoders as ONNX files, ``root/encoder_onnx/ke/key.onnx``, counted and pruned as a stage. A key is a
digest of what the file was made from, and one of its content."""

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
        if len(path.stem) >= KEY_LENGTH:
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


@dataclass(frozen=True)
class Verified:
    """How many entries were read, and the damaged ones with the reason."""

    entries: int
    damaged: list[tuple[Entry, str]]


def verify(cache: FeatureCache, check_run: Callable[[Path], None]) -> Verified:
    """Read every entry. None is removed.

    Args:
        cache: the cache.
        check_run: raises MoclipError or ValueError where a run folder of the hub is damaged.

    Raises:
        CacheUnavailable: there is none, or it can't be read.
    """
    entries, others = list(cache.entries()), other_entries(cache)
    if not entries and (cache.far is not None or not cache.root.exists()):
        raise CacheUnavailable(f"there is no cache at {cache.shown}; name one with --cache")
    others = [entry for entry in others if not entry.path.name.startswith(".")]  # what a killed fetch left
    checks = [(entry, partial(_check_arrays, cache, entry)) for entry in entries]
    checks += [(entry, partial(_check_other, entry, check_run)) for entry in others]
    damaged = []
    for entry, check in checks:
        try:
            with cache_access(cache.root):
                check()
        except CacheUnavailable:
            raise
        except (MoclipError, ValueError) as error:
            damaged.append((entry, str(error)))
    return Verified(len(checks), damaged)


def _check_arrays(cache: FeatureCache, entry: Entry) -> None:
    if cache.far is not None:
        cache.read_bytes(cache.far.read(entry.stage, entry.key) or b"", entry.key)
    else:
        cache.read_file(entry.path, entry.key)


def _check_other(entry: Entry, check_run: Callable[[Path], None]) -> None:
    if entry.stage == HUB:
        check_run(entry.path)
    elif len(entry.key) == KEY_LENGTH:
        raise CheckpointError(
            "an earlier version wrote it without a digest; moclip export RUN --engine writes another"
        )
    elif digest_file(entry.path) != entry.key[KEY_LENGTH:]:
        raise CheckpointError("its content does not match the digest in its name")


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
        meant = (stage is None or entry.stage == stage) and (limit is None or entry.modified < limit)
        if meant and remove(cache, entry):
            count, freed = count + 1, freed + entry.size
    return count, freed


def remove(cache: FeatureCache, entry: Entry) -> bool:
    """Remove an entry; False for a run folder of a hub repository that is being fetched, or that is gone.

    Raises:
        CacheUnavailable: the folder or the URL can't be written.
    """
    if entry.stage == HUB and "/" in entry.key:  # a run folder, also if it is gone meanwhile
        return _remove_run(entry.path)
    cache.remove(entry)
    return True


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
