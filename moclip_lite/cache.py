"""The feature cache: one safetensors file per clip and stage, found by what it was made from.

An entry's key is a digest of the clip's content and of every setting that changes the result, so
an entry is never stale, only unused. Entries are written whole under their final name, carry a
digest of their own payload, and are checked each time they are read: several processes may share a
cache, and one may be killed at any moment.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from .digest import digest_bytes
from .errors import CheckpointError
from .storage import read_tensors, write_tensors

__all__ = ["Entry", "FeatureCache", "cache_key", "default_cache_dir"]

log = logging.getLogger("moclip.cache")
_KEY_LENGTH: Final = 32

Arrays = dict[str, npt.NDArray[Any]]


def default_cache_dir() -> Path:
    """``$MOCLIP_CACHE``, else ``moclip-lite`` in the user's cache folder."""
    named = os.environ.get("MOCLIP_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "moclip-lite"


def cache_key(stage: str, content: str, settings: Mapping[str, Any]) -> str:
    """Name of an entry: 32 hex digits.

    Args:
        stage: such as "motion".
        content: digest of what the entry is computed from.
        settings: plain values; every one that changes the result.
    """
    text = json.dumps([stage, content, settings], sort_keys=True, separators=(",", ":"))
    return digest_bytes([text.encode()])


def _payload_digest(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    def parts() -> Iterator[bytes]:
        for name in sorted(arrays):
            array = np.ascontiguousarray(arrays[name])
            yield f"{name}:{array.dtype.str}:{array.shape}".encode()
            yield array.tobytes()

    return digest_bytes(parts())


@dataclass(frozen=True)
class Entry:
    """Where an entry lies and how it stands."""

    stage: str
    key: str
    path: Path
    size: int
    modified: float


class FeatureCache:
    """Entries below one folder: ``root/stage/ke/key.safetensors``."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else default_cache_dir()

    def path(self, stage: str, key: str) -> Path:
        """Where an entry lies, whether or not it exists."""
        return self.root / stage / key[:2] / f"{key}.safetensors"

    def has(self, stage: str, key: str) -> bool:
        """Whether there is a file under this key (it is checked when it is read)."""
        return self.path(stage, key).is_file()

    def size(self, stage: str, key: str) -> int:
        """Bytes of an entry's file; 0 if there is none."""
        path = self.path(stage, key)
        return path.stat().st_size if path.is_file() else 0

    def get(self, stage: str, key: str) -> Arrays | None:
        """Read and check an entry.

        Returns:
            Its arrays; None if there is none, or if it is damaged: then a warning is logged, the
            file is removed, and the caller computes it again.
        """
        path = self.path(stage, key)
        if not path.is_file():
            return None
        try:
            return self._read_checked(path, key)
        except CheckpointError as error:
            log.warning("cache entry %s is damaged and will be made again (%s)", path, error)
            path.unlink(missing_ok=True)
            return None

    def put(self, stage: str, key: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Write an entry; another process may write the same one at the same time.

        Raises:
            MoclipError: the disk is full.
        """
        metadata = {"key": key, "payload": _payload_digest(arrays)}
        write_tensors(self.path(stage, key), arrays, metadata)

    def lock(self, key: str) -> FileLock:
        """A lock among processes, for work that should be done once; freed when its holder ends."""
        path = self.root / "locks" / f"{key}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path)

    def _read_checked(self, path: Path, key: str) -> Arrays:
        arrays, metadata = read_tensors(path)
        if metadata.get("key") != key:
            raise CheckpointError("it belongs to another key")
        if metadata.get("payload") != _payload_digest(arrays):
            raise CheckpointError("its content does not match its digest")
        return arrays

    def entries(self) -> Iterator[Entry]:
        """All entries, by stage and key."""
        for path in sorted(self.root.glob("*/??/*.safetensors")):
            if len(path.stem) == _KEY_LENGTH:
                stat = path.stat()
                yield Entry(path.parts[-3], path.stem, path, stat.st_size, stat.st_mtime)

    def verify(self) -> list[tuple[Entry, str]]:
        """Read every entry; returns the damaged ones with the reason, and leaves them."""
        damaged = []
        for entry in self.entries():
            try:
                self._read_checked(entry.path, entry.key)
            except CheckpointError as error:
                damaged.append((entry, str(error)))
        return damaged

    def prune(self, stage: str | None = None, older_than_days: float | None = None) -> tuple[int, int]:
        """Remove entries of one stage (or all), older than so many days (or any).

        Returns:
            (entries removed, bytes freed).
        """
        limit = time.time() - 86_400 * older_than_days if older_than_days is not None else None
        count, freed = 0, 0
        left = [*self.root.glob("*/??/.*.safetensors"), *self.root.glob("locks/*.lock")]
        for draft in left:  # of processes that were killed, or that are done
            if draft.stat().st_mtime < time.time() - 86_400:
                draft.unlink(missing_ok=True)
        for entry in self.entries():
            if (stage is None or entry.stage == stage) and (limit is None or entry.modified < limit):
                entry.path.unlink(missing_ok=True)
                count, freed = count + 1, freed + entry.size
        return count, freed

    def free_bytes(self) -> int:
        """Free space on the cache's disk."""
        probe = self.root
        while not probe.exists():
            probe = probe.parent
        return shutil.disk_usage(probe).free
