"""Videos below the root folder, named by clients with relative paths."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..datasets.walk import VIDEO_SUFFIXES
from ..storage.stamps import FileStamp
from .http.refusal import Refusal

__all__ = ["RootFile", "RootFiles"]

_MAX_LISTED: Final = 500
_MAX_PATH: Final = 1024  # characters


class RootFiles:
    """Resolves paths and lists folders below a root; nothing outside it can be named.

    Args:
        root: the folder.

    Raises:
        NotADirectoryError: it is no folder.
        FileNotFoundError: it does not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve(strict=True)
        if not self.root.is_dir():
            raise NotADirectoryError(20, "--root must be a folder", str(root))

    def find(self, name: str) -> Path:
        """The regular file of a relative path.

        Raises:
            Refusal: 404, the same sentence whether it lies outside, does not exist or is no regular file.
        """
        path = self._inside(name)
        try:
            regular = path is not None and stat.S_ISREG(path.stat().st_mode)
        except OSError:
            regular = False
        if path is None or not regular:
            raise Refusal(404, "there is no such video file below the server's root folder")
        return path

    def take(self, name: str) -> RootFile:
        """The file of a relative path, to be recognised later.

        Raises:
            Refusal: 404, as :meth:`find`.
        """
        path = self.find(name)
        return RootFile(self, name, path, _stamp(path))

    def listing(self, name: str) -> tuple[list[str], bool]:
        """Folders (with a slash at the end) and videos in a folder, as paths below the root.

        Returns:
            (at most 500 of them, whether there are more).

        Raises:
            Refusal: 404, there is no such folder, or it can't be read.
        """
        folder = self._inside(name or ".")
        if folder is None or not folder.is_dir():
            raise Refusal(404, "there is no such folder below the server's root folder")
        names: list[str] = []
        try:
            found = [entry.name for entry in folder.iterdir()]
        except OSError as error:
            raise Refusal(404, f"the folder can't be read: {error.strerror}") from error
        for entry in sorted(found):
            relative = str((folder / entry).relative_to(self.root))
            inside = None if entry.startswith(".") or not _is_unicode(relative) else self._inside(relative)
            if inside is not None and inside.is_dir():
                names.append(f"{relative}/")
            elif inside is not None and Path(entry).suffix.lower() in VIDEO_SUFFIXES and inside.is_file():
                names.append(relative)
            if len(names) > _MAX_LISTED:
                break
        return names[:_MAX_LISTED], len(names) > _MAX_LISTED

    def _inside(self, name: str) -> Path | None:
        """The path without links, or None if it leaves the root or can't be resolved."""
        if not name or len(name) > _MAX_PATH or "\0" in name or "\\" in name:
            return None
        relative = Path(name)
        if relative.is_absolute() or relative.drive or ".." in relative.parts:
            return None
        try:
            path = (self.root / relative).resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            return None
        return path if path == self.root or self.root in path.parents else None


@dataclass(frozen=True)
class RootFile:
    """A file below a root as it was when it was taken.

    Attributes:
        root: where its name is looked up.
        name: relative path that a client gave.
        path: without links.
        stamp: None if it went away meanwhile.
    """

    root: RootFiles
    name: str
    path: Path
    stamp: FileStamp | None

    def again(self) -> RootFile:
        """What the name means now.

        Raises:
            Refusal: 404, it lies no longer below the root.
        """
        return self.root.take(self.name)

    def unchanged(self) -> Path:
        """The path, if the name still means the same file with the same content.

        Raises:
            Refusal: 410, it lies no longer below the root; 409, it is another one or was written to.
        """
        try:
            now = self.again()
        except Refusal:
            raise Refusal(410, "the file is no longer below the server's root folder") from None
        if now != self:
            raise Refusal(409, "the file was changed since its analysis began; ask for a new analysis")
        return now.path


def _stamp(path: Path) -> FileStamp | None:
    try:
        return FileStamp.of(path)
    except OSError:
        return None


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
