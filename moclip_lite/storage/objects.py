"""Objects at a URL, as files of a folder: listed, read, written and removed through fsspec.

Names are relative to the URL and hold no way out of it. Errors are those of local files;
none repeats credentials.
"""

from __future__ import annotations

import errno
import io
import re
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from html import unescape
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, TypeVar

from mv_tools.remote import RemoteFile, RemoteReader
from mv_tools.urls import ServerFailure, file_system, is_web, name_below, reported, url_below, url_of

from ..errors import ConfigError
from .local_file import local_path

__all__ = ["Listed", "ObjectFolder", "Version", "copy_of"]

_REQUESTS: Final = 16  # at once
_LINK: Final = re.compile("[?#]")  # of a page: to order its list, for example
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Version:
    """What tells one content of an object from another.

    Attributes:
        size: in bytes.
        tag: ETag, or what else the server tells; "" where it tells nothing.
    """

    size: int
    tag: str


@dataclass(frozen=True)
class Listed:
    """An object in a list.

    Attributes:
        size: in bytes; 0 where the server does not tell.
        modified: seconds since the epoch by the server's clock; 0 where it does not tell.
    """

    size: int
    modified: float


class ObjectFolder:
    """Objects below a URL.

    Args:
        url: of the folder.

    Attributes:
        url: without a slash at its end.

    Raises:
        mv_tools.BackendUnavailable: a package is missing.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._system, self._root = file_system(self.url)
        self._root = self._root.rstrip("/")
        self._web = is_web(self.url)

    @classmethod
    def at(cls, path: Path) -> ObjectFolder:
        """The folder that a path names which is a URL."""
        url = url_of(path)
        if url is None:
            raise ValueError(f"{path} is no URL")
        return cls(url)

    def url_of(self, name: str) -> str:
        """The URL of an object."""
        return url_below(self.url, name)

    def path_of(self, name: str) -> Path:
        """An object's URL as a path holds it."""
        return Path(self.url_of(name))

    def names(self, below: str = "") -> list[str]:
        """Names of all objects, or of those below one folder, sorted; none where there is no such folder.

        Raises:
            OSError: they can't be listed.
        """
        return sorted(self.listing(below))

    def listing(self, below: str = "") -> dict[str, Listed]:
        """Size and time of all objects, or of those below one folder, by name.

        Raises:
            OSError: they can't be listed; at a web server also where there is no such folder.
            ConfigError, mv_tools.ArgumentError: a name of which no URL can be made.
        """
        listed: dict[str, Listed] = {}
        try:
            with reported(self.url_of(below)):
                # Not find: its empty delimiter is not understood by every server.
                folders = [self._path(below).rstrip("/")]
                while folders:
                    rows = [row for rows in self._each(folders, self._listed) for row in rows]
                    folders = [path for path, entry in rows if entry is None]
                    listed |= {self._name(path): entry for path, entry in rows if entry is not None}
        except ServerFailure:  # no such bucket
            raise
        except FileNotFoundError:
            if self._web and not below:
                raise FileNotFoundError(errno.ENOENT, "there is no such folder", self.url) from None
            return {}
        return listed

    def _listed(self, folder: str) -> list[tuple[str, Listed | None]]:
        """(path, facts of an object or None of a folder) of what a folder holds."""
        self._system.invalidate_cache(folder)
        rows = []
        for row in self._system.ls(folder, detail=True):
            path = (unescape(row["name"]) if self._web else str(row["name"])).rstrip("/")
            if not path.startswith(f"{folder}/") or (self._web and _LINK.search(path)):
                continue  # itself, or a link of a page that names no file below
            time = row.get("LastModified") or row.get("mtime") or row.get("created")
            modified = time.timestamp() if isinstance(time, datetime) else 0.0
            entry = None if row["type"] == "directory" else Listed(int(row.get("size") or 0), modified)
            rows.append((path, entry))
        return rows

    def _each(self, items: Iterable[_Item], work: Callable[[_Item], _Result]) -> list[_Result]:
        with ThreadPoolExecutor(_REQUESTS) as pool:
            return list(pool.map(work, items))

    def version(self, name: str) -> Version | None:
        """Version of an object; None where there is none.

        Raises:
            OSError: the server can't be asked.
        """
        try:
            file = RemoteFile(self.url_of(name))
        except (FileNotFoundError, IsADirectoryError):
            return None
        return Version(file.size, file.version)

    def versions(self, names: Iterable[str]) -> dict[str, Version]:
        """Versions of the objects that are there."""
        listed = list(names)
        versions = zip(listed, self._each(listed, self.version), strict=True)
        return {name: version for name, version in versions if version is not None}

    def read(self, name: str) -> bytes | None:
        """Content of a small object; None where there is none.

        Raises:
            OSError: it can't be read.
        """
        try:
            with reported(self.url_of(name)):
                return bytes(self._system.cat_file(self._path(name)))
        except FileNotFoundError:
            return None

    def open(self, name: str) -> BinaryIO:
        """An object as a file that is read by ranges.

        Raises:
            FileNotFoundError, OSError: it can't be read.
            SourceChanged: another one took its place meanwhile; at a later read.
        """
        return io.BufferedReader(RemoteReader(RemoteFile(self.url_of(name))), 1 << 20)

    def fetch(self, name: str, target: Path) -> Version:
        """Write an object to a local file, atomically; it may not change meanwhile.

        Raises:
            FileNotFoundError, OSError: it can't be read.
            SourceChanged: another one took its place meanwhile.
            MoclipError: the disk is full.
        """
        return copy_of(RemoteFile(self.url_of(name)), target)

    def write(self, name: str, data: bytes) -> None:
        """Write a small object, in place of one that is there.

        Raises:
            ConfigError: what is at such URLs is only read.
            mv_tools.ArgumentError: a name of which no URL can be made.
            OSError: it can't be written.
        """
        self._refuse_read_only()
        with reported(self.url_of(name)):
            self._system.pipe_file(self._path(name), data)

    def create(self, name: str, data: bytes) -> bool:
        """Write a small object where there is none; False where there is one.

        Servers without conditional requests may let two callers at once both succeed.

        Raises:
            ConfigError, mv_tools.ArgumentError, OSError: see :meth:`write`.
        """
        self._refuse_read_only()
        if self.version(name) is not None:
            return False
        with reported(self.url_of(name)):
            try:
                self._system.pipe_file(self._path(name), data, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                response: Any = getattr(error.__cause__, "response", {})
                if response.get("Error", {}).get("Code") not in (
                    "PreconditionFailed",
                    "ConditionalRequestConflict",
                ):
                    raise
                return False
        return True

    def send(self, source: Path, name: str) -> Version:
        """Write a local file as an object.

        Raises:
            ConfigError, OSError: see :meth:`write`.
        """
        self._refuse_read_only()
        size = source.stat().st_size
        with reported(self.url_of(name)):
            self._system.put_file(str(source), self._path(name))
        version = self.version(name)
        if version is None or version.size != size:
            raise OSError(f"{self.url_of(name)}: the server does not hold what was written; try again")
        return version

    def remove(self, name: str) -> None:
        """Remove an object, if it is there.

        Raises:
            ConfigError, OSError: see :meth:`write`.
        """
        self._refuse_read_only()
        try:
            with reported(self.url_of(name)):
                self._system.rm_file(self._path(name))
        except FileNotFoundError:
            return

    def _name(self, path: str) -> str:
        return _checked(name_below(self.url, path.removeprefix(self._root).lstrip("/")), self.url)

    def _path(self, name: str) -> str:
        return f"{self._root}{self.url_of(name).removeprefix(self.url)}"

    def _refuse_read_only(self) -> None:
        """Refuse to write at URLs that are only read.

        Raises:
            ConfigError: it is one.
        """
        if self._web:
            scheme = self.url.partition(":")[0]
            raise ConfigError(f"{self.url}: {scheme} URLs are only read; write to a local folder or to s3://")


def copy_of(file: RemoteFile, target: Path) -> Version:
    """Write a file at a URL to a local one; see :meth:`ObjectFolder.fetch`."""
    with local_path(target) as draft, draft.open("wb") as out:
        shutil.copyfileobj(io.BufferedReader(RemoteReader(file), 8 << 20), out, 8 << 20)
    return Version(file.size, file.version)


def _checked(name: str, url: str) -> str:
    """A name that stays below the folder.

    Raises:
        ConfigError: it does not.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise ConfigError(f"{url} holds an object whose name is no path below it")
    return name
