"""The feature cache: one safetensors file per clip and stage, under a key of all that decides its content.

An entry's key is a digest of the clip's content and of every setting that changes the result, so an
entry is never stale, only unused. Entries are written atomically, contain a digest of their arrays, and
are checked each time they are read: several processes may share a cache, and any may be killed.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from filelock import FileLock
from platformdirs import user_cache_dir

from mv_tools.urls import is_url

from ..errors import CacheUnavailable, CheckpointError
from .digest import digest_bytes
from .far_cache import Entry, FarEntries
from .files import cache_access, parse_tensors, read_tensors, write_tensors

__all__ = ["KEY_LENGTH", "Arrays", "Entry", "FeatureCache", "default_cache_dir", "local_cache_dir"]

log = logging.getLogger("moclip.cache")
KEY_LENGTH: Final = 32
"""Characters of an entry's key."""

Arrays = dict[str, npt.NDArray[Any]]


def default_cache_dir() -> Path:
    """``$MOCLIP_CACHE``, else ``moclip-lite`` in the user's cache folder.

    Raises:
        CacheUnavailable: the user has no home folder, or the variable holds a URL.
    """
    try:
        if is_url(Path(os.environ.get("MOCLIP_CACHE", ""))):
            raise CacheUnavailable("MOCLIP_CACHE names a local folder; name the URL of a cache with --cache")
        folder = os.environ.get("MOCLIP_CACHE") or user_cache_dir("moclip-lite", appauthor=False)
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise CacheUnavailable(
            "there is no home folder for the cache (HOME is not set); choose a folder with --cache"
        ) from error


def local_cache_dir(place: Path | None) -> Path:
    """The local folder of a cache: the one that is given; the default one for None and for a URL.

    Raises:
        CacheUnavailable: see :func:`default_cache_dir`.
    """
    return default_cache_dir() if place is None or is_url(place) else place


def _payload_digest(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    def parts() -> Iterator[bytes]:
        for name in sorted(arrays):
            array = np.ascontiguousarray(arrays[name])
            yield f"{name}:{array.dtype.str}:{array.shape}".encode()
            yield array.tobytes()

    return digest_bytes(parts())


class FeatureCache:
    """Entries below one folder: ``root/stage/ke/key.safetensors``; of a URL, the local folder in front of it.

    Args:
        place: the folder, or a URL; None for the default folder.

    Attributes:
        root: the local folder; the default folder where entries lie at a URL.
        far: the entries at the URL, if it is one: read where the folder has none, and written beside it.

    Raises:
        CacheUnavailable: there is no home folder for the default one.
        mv_tools.BackendUnavailable: a package for the URL is missing.
    """

    def __init__(self, place: Path | None = None) -> None:
        self.far = FarEntries(place) if place is not None and is_url(place) else None
        self.root = local_cache_dir(place)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.far is not None:  # on another machine
            self.root = default_cache_dir()

    @property
    def place(self) -> Path:
        """What another process makes the same cache from."""
        return self.root if self.far is None else self.far.path

    @property
    def shared_root(self) -> Path | None:
        """The folder that all machines must see who fill the cache; None where entries go to a URL."""
        return self.root if self.far is None else None

    @property
    def shown(self) -> str:
        """The folder or the URL, for messages."""
        return str(self.root) if self.far is None else self.far.url

    def path(self, stage: str, key: str) -> Path:
        """Path of an entry, whether or not it exists."""
        return self.root / stage / key[:2] / f"{key}.safetensors"

    def has(self, stage: str, key: str) -> bool:
        """Whether an entry exists; its content is checked when it is read.

        Raises:
            CacheUnavailable: the URL can't be read or written.
        """
        path = self.path(stage, key)
        if self.far is None:
            return path.is_file()
        if self.far.has(stage, key):
            return True
        if path.is_file():  # of an earlier run whose connection was lost, or without the URL
            self.far.send(stage, key, path)
            return True
        return False

    def size(self, stage: str, key: str) -> int:
        """Bytes of an entry's file; 0 if there is none."""
        path = self.path(stage, key)
        if path.is_file():
            return path.stat().st_size
        return self.far.size(stage, key) if self.far is not None else 0

    def forget_list(self) -> None:
        """Ask the URL again what it holds: other processes have written entries."""
        if self.far is not None:
            self.far.forget_list()

    def fetch(self, stage: str, keys: Iterable[str]) -> None:
        """Copy the entries that lie at the URL alone into the local folder, many at once.

        Raises:
            CacheUnavailable: the URL can't be read, or the folder can't be written.
        """
        if self.far is None:
            return
        places = ((stage, key, self.path(stage, key)) for key in keys)
        with cache_access(self.root):
            self.far.fetch_all(entry for entry in places if not entry[2].is_file())

    def get(self, stage: str, key: str) -> Arrays | None:
        """Read and check an entry.

        Returns:
            Its arrays; None if it is absent, or damaged: then a warning is logged and the file removed,
            so that the caller computes it again.

        Raises:
            CacheUnavailable: the folder or the URL can't be read.
        """
        path = self.path(stage, key)
        with cache_access(self.root):
            if path.is_file():
                arrays = self._read_or_remove(path, key)
                if arrays is not None:
                    return arrays
            if self.far is None or not self.far.fetch(stage, key, path):
                return None
            arrays = self._read_or_remove(path, key)
            if arrays is None:
                self.far.remove(stage, key)
            return arrays

    def read_raw(self, stage: str, key: str) -> bytes | None:
        """The file of an entry, which is checked; None as :meth:`get`.

        Raises:
            CacheUnavailable: the folder or the URL can't be read.
        """
        if self.get(stage, key) is None:
            return None
        with cache_access(self.root):
            try:
                return self.path(stage, key).read_bytes()
            except FileNotFoundError:  # removed by another process
                return None

    def _read_or_remove(self, path: Path, key: str) -> Arrays | None:
        try:
            return self.read_file(path, key)
        except CheckpointError as error:
            log.warning("cache entry %s is damaged and will be made again (%s)", path, error)
            path.unlink(missing_ok=True)
            return None

    def put(self, stage: str, key: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Write an entry; another process may write the same one at the same time.

        Raises:
            MoclipError: the disk is full.
            CacheUnavailable: the folder or the URL can't be written.
        """
        metadata = {"key": key, "payload": _payload_digest(arrays)}
        path = self.path(stage, key)
        with cache_access(self.root):
            write_tensors(path, arrays, metadata)
        if self.far is not None:
            self.far.send(stage, key, path)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold a lock among processes, for work that should be done once; released when its holder ends.

        Raises:
            CacheUnavailable: the folder can't be written.
        """
        path = self.root / "locks" / f"{key}.lock"
        with cache_access(self.root):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def read_file(self, path: Path, key: str) -> Arrays:
        """As :meth:`read_bytes`, of the file at a path."""
        return _checked(*read_tensors(path), key)

    def read_bytes(self, data: bytes, key: str) -> Arrays:
        """Check the content of an entry's file.

        Raises:
            CheckpointError: damaged, or of another key.
        """
        return _checked(*parse_tensors(data), key)

    def entries(self) -> Iterator[Entry]:
        """All entries, by stage and key.

        Raises:
            CacheUnavailable: the cache's path is a file.
        """
        if self.far is not None:
            yield from self.far.entries()
            return
        with cache_access(self.root):
            if self.root.exists() and not self.root.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        for path in sorted(self.root.glob("*/??/*.safetensors")):
            if len(path.stem) == KEY_LENGTH:
                try:
                    stat = path.stat()
                except FileNotFoundError:  # removed by another process
                    continue
                yield Entry(path.parts[-3], path.stem, path, stat.st_size, stat.st_mtime)

    def remove(self, entry: Entry) -> None:
        """Remove an entry; at a URL, there and in the local folder.

        Raises:
            CacheUnavailable: the folder or the URL can't be written.
        """
        with cache_access(self.root):
            if self.far is None:
                entry.path.unlink(missing_ok=True)
                return
            self.path(entry.stage, entry.key).unlink(missing_ok=True)
        self.far.remove(entry.stage, entry.key)

    def free_bytes(self) -> int:
        """Free space on the cache's disk."""
        folder = self.root
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free


def _checked(arrays: Arrays, metadata: Mapping[str, str], key: str) -> Arrays:
    if metadata.get("key") != key:
        raise CheckpointError("it belongs to another key")
    if metadata.get("payload") != _payload_digest(arrays):
        raise CheckpointError("its content does not match its digest")
    return arrays
