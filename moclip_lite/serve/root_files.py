"""Videos below the root folder, named by clients with relative paths."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

from ..datasets.walk import VIDEO_SUFFIXES
from .refusal import Refusal

__all__ = ["RootFiles"]

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

    def listing(self, name: str) -> list[str]:
        """Folders (with a slash at the end) and videos in a folder, as paths below the root, at most 500."""
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
            if len(names) >= _MAX_LISTED:
                break
        return names

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


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
