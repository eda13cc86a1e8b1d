"""Digests of file contents, remembered by path, size and time, or URL and ETag: each file is read once."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from mv_tools.urls import is_url, spelled

from .digest import digest_file
from .files import cache_access
from .names import valid_unicode
from .stamps import FileStamp, Stamp
from .url_digests import digest_at_url, digests_at_urls

log = logging.getLogger("moclip.cache")

__all__ = ["ContentDigests", "Stamped", "stamped_digest"]

_TABLE: Final = "contents"  # "digests" was the table of a version that ignored change times
_URLS: Final = "urls"


class Stamped(NamedTuple):
    """Digest of a content, and the stamp of the file that it was read from."""

    digest: str
    stamp: Stamp


def stamped_digest(path: Path) -> Stamped:
    """The digest of a file, here or at a URL, with the stamp that it had before.

    Raises:
        OSError: it can't be read.
        SourceChanged: a file at a URL was changed meanwhile.
    """
    if is_url(path):
        known = digest_at_url(spelled(path), None)
        return Stamped(known.digest, known.stamp)
    return Stamped(stamp=FileStamp.of(path), digest=digest_file(path))


class ContentDigests:
    """Content digests of files, remembered on disk (SQLite; safe for several processes).

    A file is read again when its size, modification time, change time (which no program can set back) or
    inode changes; one at a URL when its size or ETag changes, and each time where the server tells no ETag.
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
        columns = {
            _TABLE: "path TEXT PRIMARY KEY, size INTEGER, mtime INTEGER, ctime INTEGER, inode INTEGER",
            _URLS: "url TEXT PRIMARY KEY, size INTEGER, version TEXT",
        }
        with self._connect() as db:
            for table, names in columns.items():
                db.execute(f"CREATE TABLE IF NOT EXISTS {table} ({names}, digest TEXT)")
                db.execute(f"SELECT * FROM {table} LIMIT 1")  # noqa: S608 - our own name

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self._path, timeout=60)
        try:
            with db:
                yield db
        finally:
            db.close()

    def _known(self, table: str) -> dict[str, tuple[int | str, ...]]:
        """Path or URL -> the other columns of a table; empty if the database is damaged."""
        try:
            with self._connect() as db:
                rows = db.execute(f"SELECT * FROM {table}")  # noqa: S608 - our own name
                return {row[0]: row[1:] for row in rows}
        except sqlite3.DatabaseError as error:
            log.warning("%s can't be read (%s): all files are read again", self._path, error)
            return {}

    def _remember(self, table: str, rows: list[tuple[int | str, ...]]) -> None:
        if not rows:
            return
        try:
            with self._connect() as db:
                placeholders = ", ".join("?" * len(rows[0]))
                db.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({placeholders})", rows)  # noqa: S608
        except sqlite3.DatabaseError as error:  # the digests are known, only not remembered
            log.warning("%s could not be written (%s)", self._path, error)

    def of(self, paths: Iterable[Path]) -> dict[Path, str]:
        """Digest of each readable file; the others are left out, and reading them raises the reason.

        Raises:
            ServerFailure: a server of files at URLs refuses them all, or can't be reached.
        """
        return {path: known.digest for path, known in self.stamped(paths).items()}

    def stamped(self, paths: Iterable[Path]) -> dict[Path, Stamped]:
        """As :meth:`of`, with the stamps that the files had before."""
        listed = list(dict.fromkeys(paths))
        remote = [path for path in listed if is_url(path)]
        digests = self._at_urls(remote) if remote else {}
        return self._here([path for path in listed if not is_url(path)]) | digests

    def _here(self, paths: list[Path]) -> dict[Path, Stamped]:
        digests: dict[Path, Stamped] = {}
        fresh: list[tuple[int | str, ...]] = []
        known = self._known(_TABLE)
        for path in paths:
            try:
                stamp = FileStamp.of(path)
            except (OSError, ValueError):  # absent, or an impossible name
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
        self._remember(_TABLE, fresh)
        return digests

    def _at_urls(self, paths: list[Path]) -> dict[Path, Stamped]:
        known, urls = self._known(_URLS), {spelled(path): path for path in paths}
        digests: dict[Path, Stamped] = {}
        fresh: list[tuple[int | str, ...]] = []
        try:
            for url, found in digests_at_urls(list(urls), known):
                digests[urls[url]] = Stamped(found.digest, found.stamp)
                if found.fresh:
                    fresh.append((valid_unicode(url), *found.stamp[:2], found.digest))
        finally:  # also of a server that was lost
            self._remember(_URLS, fresh)
        return digests
