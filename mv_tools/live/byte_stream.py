"""Files that grow and standard input, as file objects whose reads can be interrupted."""

from __future__ import annotations

import os
import select
import sys
import time
from pathlib import Path
from threading import Event
from typing import IO, Final

from ..errors import SourceUnavailable

__all__ = ["GrowingFile", "StandardInput"]

_POLL: Final = 0.05  # seconds between two checks of a file that does not grow


class GrowingFile:
    """A file that is read as it grows, as ``tail -f`` does.

    It ends once it has not grown for `timeout` seconds, or once `stop` is set.

    Args:
        path: the file.
        timeout: seconds.
        stop: ends reading.

    Raises:
        FileNotFoundError: the path does not exist.
        IsADirectoryError: it is a folder.
    """

    def __init__(self, path: str, timeout: float, stop: Event) -> None:
        self._file: IO[bytes] = Path(path).open("rb", buffering=0)  # noqa: SIM115  # closed by `close`
        self._timeout = timeout
        self._stop = stop
        self._ended = False

    @classmethod
    def open(cls, path: str, timeout: float, stop: Event) -> GrowingFile:
        """Open a file; one whose index may lie at its end can be moved in."""
        with Path(path).open("rb") as file:
            is_mp4 = file.read(8)[4:] == b"ftyp"  # ISO/IEC 14496-12, 4.3
        return (_IndexedFile if is_mp4 else cls)(path, timeout, stop)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end."""
        deadline = time.monotonic() + self._timeout
        while not self._ended and not self._stop.is_set():
            data = self._file.read(size)
            if data:
                return data
            if time.monotonic() > deadline or self._stop.wait(_POLL):
                self._ended = True
        return b""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _IndexedFile(GrowingFile):
    """A file that is complete: it can be moved in."""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end."""
        return b"" if self._stop.is_set() else self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move in what is there: the index of an MP4 file may lie at its end."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position."""
        return self._file.tell()


class StandardInput:
    """Standard input up to its end, to `timeout` seconds without data, or until `stop` is set.

    Raises:
        SourceUnavailable: it is closed.
    """

    def __init__(self, timeout: float, stop: Event) -> None:
        if sys.stdin is None:
            raise SourceUnavailable("standard input is closed; pipe a stream of H.264 or HEVC into it")
        self._descriptor = sys.stdin.fileno()
        self._timeout = timeout
        self._stop = stop

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end."""
        deadline = time.monotonic() + self._timeout
        while not self._stop.is_set() and time.monotonic() <= deadline:
            ready, _, _ = select.select([self._descriptor], [], [], _POLL)
            if ready:
                return os.read(self._descriptor, size)
        return b""

    def close(self) -> None:
        """Standard input stays open."""
