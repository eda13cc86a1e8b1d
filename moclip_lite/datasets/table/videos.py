"""Finding the videos that an annotation table names, in a folder or below a URL."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Final

from mv_tools import ArgumentError
from mv_tools.remote import RemoteFile
from mv_tools.urls import ObjectRefused, ServerFailure, name_below, spelled, url_below, url_of

from ...storage.names import files_like, printable, valid_unicode
from .values import WrongValue, shown, text_of

__all__ = ["ABSENT", "WITHHELD", "VideoFolder", "name_in_table", "video_folder", "wrong_name"]

ABSENT: Final = "there is no such video"
WITHHELD: Final = "the server does not give it"
"""How the reasons begin why a video that a row names can't be had."""

_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


class VideoFolder:
    """Finds videos relative to a folder; each is looked for once.

    Args:
        root: the folder.
        present: whether the videos must be there.
    """

    def __init__(self, root: Path, present: bool) -> None:
        self._root, self._present = root.expanduser().absolute(), present
        self._known: dict[str, tuple[str, Path] | str] = {}

    def find(self, value: str) -> tuple[str, Path] | str:
        """(name, path) of a video, or why there is none."""
        if value not in self._known:
            self._known[value] = self._find(value)
        return self._known[value]

    def _find(self, value: str) -> tuple[str, Path] | str:
        if _ADDRESS.match(value):
            return f"{shown(value)} is an address; only files are read"
        path = Path(os.path.normpath(self._root / value))
        try:
            if not path.is_file() and "\\" in value:  # written on Windows
                other = Path(os.path.normpath(self._root / value.replace("\\", "/")))
                path = other if other.is_file() else path
            alike = files_like(path) if self._present else [path]
            if len(alike) > 1:
                return f"{len(alike)} files look like {printable(str(path))}, and none is spelt so"
            path = alike[0] if alike else path
            if self._present and not path.is_file():
                kind = "is a folder" if path.is_dir() else ABSENT
                return f"{kind}, {printable(str(path))}"
        except (OSError, ValueError) as error:  # a name that no file can have
            return f"{shown(value)} is no name of a file ({getattr(error, 'strerror', None) or error})"
        name = os.path.relpath(path, self._root) if path.is_relative_to(self._root) else str(path)
        return printable(Path(name).as_posix()), path


class _RemoteVideoFolder(VideoFolder):
    """Finds videos below a URL."""

    def __init__(self, root: Path, url: str, present: bool) -> None:
        super().__init__(root, present)
        self._url = url.rstrip("/")

    def _find(self, value: str) -> tuple[str, Path] | str:
        name = PurePosixPath(value)
        if _ADDRESS.match(value):
            return f"{shown(value)} is an address; only files below {self._url} are read"
        if name.is_absolute() or ".." in name.parts or "\\" in value or not name.name:
            return f"{shown(value)} is no name of an object below {self._url}"
        try:
            url = url_below(self._url, name.as_posix())
            if self._present:
                RemoteFile(url)
        except ObjectRefused as error:
            return f"{WITHHELD}: {error.strerror}, {printable(url)}"
        except ServerFailure:
            raise
        except FileNotFoundError:
            return f"{ABSENT}, {printable(url)}"
        except IsADirectoryError:
            return f"is a folder, {printable(url)}"
        except ArgumentError as error:
            return printable(str(error))
        return printable(name.as_posix()), Path(url)


def video_folder(path: Path, present: bool) -> VideoFolder:
    """The folder of that path, which may be a URL; `present` as in :class:`VideoFolder`."""
    url = url_of(path)
    if url is None or path.exists():
        return VideoFolder(path, present)
    return _RemoteVideoFolder(path, url, present)


def name_in_table(video: Path, folder: Path) -> str:
    """The name of a video in a table, by which :class:`VideoFolder` finds it.

    Args:
        video: its path, or its URL.
        folder: of the table, or its URL.

    Returns:
        The path relative to the folder if the video lies below it, else absolute;
        of a URL elsewhere, the URL, which no table may name.
    """
    url, table = url_of(video), url_of(folder)
    if url is not None:
        below = "" if table is None else f"{table.rstrip('/')}/"
        inside = table is not None and url.startswith(below)
        return name_below(table or "", url.removeprefix(below)) if inside else spelled(video)
    path = video.resolve() if ".." in video.parts else video.absolute()
    root = Path(os.path.normpath(folder.absolute()))
    inside = table is None and path.is_relative_to(root)
    return valid_unicode(path.relative_to(root).as_posix() if inside else str(path))


def wrong_name(name: str) -> str | None:
    """Why no table can name a video so; None where one can."""
    if _ADDRESS.match(name):
        return f"{shown(name)} is an address; only files are read"
    if name != name.strip():
        return f"{shown(name)} begins or ends with a blank"
    try:
        text_of({"video": name}, "video", required=True)
    except WrongValue as wrong:
        return wrong.reason
    return None
