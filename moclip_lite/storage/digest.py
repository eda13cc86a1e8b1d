"""Digests of file contents, remembered by path, size and time so that each file is read once."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from mv_tools import MotionError
from mv_tools.remote import RemoteFile
from mv_tools.urls import is_url, spelled

from .files import cache_access
from .names import valid_unicode
from .stamps import Stamp, stamp_of

log = logging.getLogger("moclip.cache")

__all__ = ["ContentDigests", "Stamped", "digest_bytes", "digest_file", "stamped_digest"]

_CHUNK: Final = 1 << 20
_SIZE: Final = 16
_REQUESTS: Final = 16  # at once
_TABLE: Final = "contents"  # "digests" was the table of a version that ignored change times


def digest_bytes(parts: Iterable[bytes]) -> str:
    """BLAKE2b of the concatenated parts: 32 hex digits."""
    state = hashlib.blake2b(digest_size=_SIZE)
    for part in parts:
        state.update(part)
    return state.hexdigest()


def digest_file(path: Path) -> str:
    """BLAKE2b of a file's content: 32 hex digits."""

    def chunks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    return digest_bytes(chunks())


class Stamped(NamedTuple):
    """Digest of a content, and the stamp of the file that it was read from; None at a URL."""

    digest: str
    stamp: Stamp | None


def stamped_digest(path: Path) -> Stamped:
    """The digest of a file, with the stamp that it had before.

    Raises:
        OSError: it can't be read.
    """
    return Stamped(stamp=stamp_of(path), digest=digest_file(path))


def _remote_digests(paths: Sequence[Path]) -> dict[Path, str]:
    """Digest of each readable file at a URL: of its size and version (ETag), else of its content."""

    def digest(path: Path) -> str | None:
        try:
            file = RemoteFile(spelled(path))
            if file.version:
                return digest_bytes([f"remote {file.size} {file.version}".encode()])
            return digest_bytes(file.read_at(i, _CHUNK) for i in range(0, file.size, _CHUNK))
        except (OSError, MotionError):
            return None

    if not paths:
        return {}
    with ThreadPoolExecutor(_REQUESTS) as pool:
        digests = zip(paths, pool.map(digest, paths), strict=True)
        return {path: value for path, value in digests if value is not None}


class ContentDigests:
    """Content digests of files, remembered on disk (SQLite; safe for several processes).

    A file is read again when its size, modification time, change time (which no program can set back) or
    inode changes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with cache_access(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._create()
            except sqlite3.OperationalError as error:  # locked, read-only, full disk
                raise OSError(0, f"{path.name}: {error}") from error
            except sqlite3.DatabaseError:
                log.warning("%s is damaged and will be made again", path)
                path.unlink()
                self._create()

    def _create(self) -> None:
        with self._connect() as db:
            db.execute(
                f"CREATE TABLE IF NOT EXISTS {_TABLE} (path TEXT PRIMARY KEY, "
                "size INTEGER, mtime INTEGER, ctime INTEGER, inode INTEGER, digest TEXT)"
            )
            db.execute(f"SELECT * FROM {_TABLE} LIMIT 1")  # noqa: S608 - our own name

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self._path, timeout=60)
        try:
            with db:
                yield db
        finally:
            db.close()

    def _known(self) -> dict[str, tuple[int | str, ...]]:
        """Absolute path -> size, times, inode and digest; empty if the database is damaged."""
        try:
            with self._connect() as db:
                rows = db.execute(f"SELECT * FROM {_TABLE}")  # noqa: S608 - our own name
                return {row[0]: row[1:] for row in rows}
        except sqlite3.DatabaseError as error:
            log.warning("%s can't be read (%s): all files are read again", self._path, error)
            return {}

    def of(self, paths: Iterable[Path]) -> dict[Path, str]:
        """Digest of each readable file; the others are left out, and reading them raises the reason."""
        return {path: known.digest for path, known in self.stamped(paths).items()}

    def stamped(self, paths: Iterable[Path]) -> dict[Path, Stamped]:
        """As :meth:`of`, with the stamps that the files had before."""
        digests: dict[Path, Stamped] = {}
        fresh: list[tuple[str, int, int, int, int, str]] = []
        known = self._known()
        listed = list(paths)
        remote = [path for path in listed if is_url(path)]
        digests.update((path, Stamped(digest, None)) for path, digest in _remote_digests(remote).items())
        for path in listed:
            if path in digests:
                continue
            try:
                stamp = stamp_of(path)
            except (OSError, ValueError):  # absent, or an impossible name
                continue
            if stamp is None:  # at a URL, and not readable
                continue
            key, facts = valid_unicode(str(path.absolute())), stamp[:4]
            row = known.get(key)
            if row is not None and tuple(row[:-1]) == facts:
                digests[path] = Stamped(str(row[-1]), stamp)
            else:
                try:
                    digests[path] = Stamped(digest_file(path), stamp)
                except OSError:
                    continue
                fresh.append((key, *facts, digests[path].digest))
        if fresh:
            try:
                with self._connect() as db:
                    placeholders = ", ".join("?" * len(fresh[0]))
                    command = f"INSERT OR REPLACE INTO {_TABLE} VALUES ({placeholders})"  # noqa: S608
                    db.executemany(command, fresh)
            except sqlite3.DatabaseError as error:  # the digests are known, only not remembered
                log.warning("%s could not be written (%s)", self._path, error)
        return digests
