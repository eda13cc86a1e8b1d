"""Single files at URLs: a local copy to read, a draft to write."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mv_tools.remote import RemoteFile
from mv_tools.urls import is_url, spelled

from ..errors import DataError
from .objects import ObjectFolder, copy_of

__all__ = ["fetched", "sent_to"]

_MOST_FETCHED: Final = 4 << 30  # bytes


def fetched(path: Path, most: int = _MOST_FETCHED) -> Path:
    """A local copy of a file at a URL, in a temporary folder until the process ends; a local file as it is.

    Args:
        path: of the file, or its URL.
        most: bytes that it may have.

    Raises:
        DataError: larger.
        OSError: it can't be read.
    """
    if not is_url(path):
        return path
    url = spelled(path)
    file = RemoteFile(url)
    if file.size > most:
        raise DataError(f"{url}: {file.size:,} bytes are too many for this file")
    folder = Path(tempfile.mkdtemp(prefix="moclip-fetched-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy_of(file, folder / path.name)
    return folder / path.name


@contextmanager
def sent_to(target: Path) -> Iterator[Path]:
    """A temporary file that is written to a URL when the block ends without error.

    Raises:
        ConfigError, OSError: it can't be written there.
    """
    with tempfile.TemporaryDirectory(prefix="moclip-out-") as folder:
        draft = Path(folder) / target.name
        draft.touch()
        yield draft
        ObjectFolder.at(target.parent).send(draft, target.name)
