"""Digests of file contents, remembered by path, size and time so that a file is read once."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .errors import MoclipError

log = logging.getLogger("moclip.cache")

__all__ = ["ContentDigests", "digest_bytes", "digest_file"]

_CHUNK: Final = 1 << 20
_SIZE: Final = 16


def digest_bytes(parts: Iterable[bytes]) -> str:
    """BLAKE2b of the joined parts: 32 hex digits."""
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


class ContentDigests:
    """Content digests with a memory on disk (SQLite; safe for several processes).

    A file is read again when its size, modification time or inode changes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._create()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, read-only, full disk
                raise MoclipError(f"{path}: the memory of file digests can't be used: {error}") from error
            log.warning("%s is damaged and will be made again", path)
            path.unlink()
            self._create()

    def _create(self) -> None:
        with self._connect() as db:
            db.execute(
                "CREATE TABLE IF NOT EXISTS digests "
                "(path TEXT PRIMARY KEY, size INTEGER, mtime INTEGER, inode INTEGER, digest TEXT)"
            )
            db.execute("SELECT * FROM digests LIMIT 1")

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self._path, timeout=60)
        try:
            with db:
                yield db
        finally:
            db.close()

    def of(self, paths: Iterable[Path]) -> dict[Path, str]:
        """Digest of each existing file; missing files are left out."""
        found: dict[Path, str] = {}
        fresh: list[tuple[str, int, int, int, str]] = []
        with self._connect() as db:
            known = {row[0]: row[1:] for row in db.execute("SELECT * FROM digests")}
        for path in paths:
            try:
                stat = path.stat()
            except OSError:
                continue
            key = str(path.absolute())
            stamp = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
            row = known.get(key)
            if row is not None and tuple(row[:3]) == stamp:
                found[path] = str(row[3])
            else:
                try:
                    found[path] = digest_file(path)
                except OSError:
                    continue  # the one who reads it says why
                fresh.append((key, *stamp, found[path]))
        if fresh:
            try:
                with self._connect() as db:
                    db.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?)", fresh)
            except sqlite3.OperationalError as error:  # only a memory: the digests themselves are known
                log.warning("%s could not be written (%s)", self._path, error)
        return found
