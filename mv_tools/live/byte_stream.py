"""Files that grow, pipes and standard input, as file objects whose reads can be interrupted."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
import time
from pathlib import Path
from threading import Event
from typing import IO, Final

from ..errors import SourceUnavailable
from .complete_mp4 import is_complete_mp4

__all__ = ["ByteStream", "GrowingFile", "Pipe", "open_bytes", "standard_input"]

_POLL: Final = 0.05  # seconds between two checks for data
_SYNC_BYTE: Final = b"\x47"  # of MPEG-TS, ISO/IEC 13818-1, 2.4.3.2
_COMPARED: Final = 188  # bytes before the position
_MOST_FOREIGN: Final = 1 << 16  # bytes behind a packet: tables, stuffing, headers of the packet itself
_LONGEST_FOREIGN: Final = 30.0  # seconds without a packet while data come
_REWRITTEN: Final = "the file was written anew: reading ended where it was before"


class ByteStream:
    """Bytes as they come; base of what is read here and not by libavformat.

    Args:
        timeout: seconds without data after which it ends.
        stop: ends reading.

    Attributes:
        received: bytes read so far.
        head: the first eight of them.
        stalled: whether it ended because no data came for `timeout` seconds.
        changed: why what comes does not continue what was read, as a sentence; empty if it does.
        reached: bytes up to the end of the last packet that was found in them; set by who reads them.
        asked: when the next packet was asked for, by ``time.monotonic``; infinite where that is not known.
        movable: whether it can be moved in.
    """

    movable = False

    def __init__(self, timeout: float, stop: Event) -> None:
        self.timeout, self._stop = timeout, stop
        self.received, self.head, self.stalled, self.changed = 0, b"", False, ""
        self.reached, self.asked = 0, float("inf")
        self._ended = False

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end."""
        deadline = time.monotonic() + self.timeout
        while not self._ended and not self._stop.is_set():
            data = self._available(size)
            if data and self.foreign and time.monotonic() > self.asked + max(self.timeout, _LONGEST_FOREIGN):
                self.changed = f"{self.foreign}: reading ended"
                data = None
            if data:
                self.received += len(data)
                self.head = (self.head + data[:8])[:8]
                return data
            if data is None or self._stop.is_set():
                self._ended = True
            elif time.monotonic() > deadline:
                self._ended = self.stalled = True
        return b""

    @property
    def foreign(self) -> str:
        """That no packet was found in the last bytes, as a sentence; empty if one was, or they are few."""
        passed = self.received - self.reached
        if self.asked == float("inf") or passed < _MOST_FOREIGN:
            return ""
        return (
            f"its last {passed:,} bytes hold nothing of the streams that were there at the start; its video "
            "may go on in another one"
        )

    def _available(self, size: int) -> bytes | None:
        """Up to `size` bytes; none where there are none yet, after a short wait; None at the end."""
        raise NotImplementedError

    def close(self) -> None:
        """Close what was opened."""


class GrowingFile(ByteStream):
    """A file that is read as it grows, as ``tail -f`` does.

    Args:
        file: unbuffered; closed by :meth:`close`.
        timeout, stop: see :class:`ByteStream`.
        path: of the file.

    It ends where the file is written anew, or another one takes its place: what is there now does not
    continue what was read. A file written anew that is longer by then is known by the bytes before the
    position, in MPEG-TS: writers of other formats set lengths in what they have written.
    """

    def __init__(self, file: IO[bytes], timeout: float, stop: Event, path: str) -> None:
        super().__init__(timeout, stop)
        self._file, self._path = file, path
        self._last = b""  # bytes before the position

    def _available(self, size: int) -> bytes | None:
        position = self._file.tell()
        data = self._file.read(size)
        if data and self._continues(position):
            self._last = (self._last + data)[-_COMPARED:]
            return data
        opened = os.fstat(self._file.fileno())
        if data or opened.st_size < position:
            self.changed = _REWRITTEN
            return None
        try:
            same = os.path.samestat(opened, Path(self._path).stat())
        except OSError:
            same = True  # removed: what was opened may still grow
        if not same:
            self.changed = "another file took its place: reading ended with the one that was opened"
            return None
        self._stop.wait(_POLL)
        return data

    def _continues(self, position: int) -> bool:
        """Whether what was read up to a position is still there."""
        if self.head[:1] != _SYNC_BYTE:
            return True
        return os.pread(self._file.fileno(), len(self._last), position - len(self._last)) == self._last

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _CompleteFile(GrowingFile):
    """A file that does not grow: it can be moved in, because its index may lie at its end."""

    movable = True

    def _available(self, size: int) -> bytes | None:
        return self._file.read(size) or None

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move in what is there."""
        self._ended = False
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position."""
        return self._file.tell()


class Pipe(ByteStream):
    """A pipe or another file that is no regular one, up to its end.

    Args:
        descriptor: of the opened file.
        timeout, stop: see :class:`ByteStream`.
        owned: whether :meth:`close` closes it.
    """

    def __init__(self, descriptor: int, timeout: float, stop: Event, *, owned: bool) -> None:
        super().__init__(timeout, stop)
        self._descriptor, self._owned = descriptor, owned
        # A named pipe waits for somebody who writes into it.
        self._waits = owned and stat.S_ISFIFO(os.fstat(descriptor).st_mode)

    def _available(self, size: int) -> bytes | None:
        ready, _, _ = select.select([self._descriptor], [], [], _POLL)
        if not ready:
            return b""
        try:
            data = os.read(self._descriptor, size)
        except BlockingIOError:
            return b""
        if data:
            return data
        if self.received or not self._waits:
            return None
        self._stop.wait(_POLL)  # nobody writes into it yet
        return b""

    def close(self) -> None:
        """Close the pipe; standard input stays open."""
        if self._owned:
            os.close(self._descriptor)


def open_bytes(path: str, timeout: float, stop: Event) -> GrowingFile | Pipe:
    """Open a file once, and read it as what it is.

    Raises:
        FileNotFoundError: the path does not exist.
        IsADirectoryError: it is a folder.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # without waiting for a writer
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        os.close(descriptor)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        return Pipe(descriptor, timeout, stop, owned=True)
    file = os.fdopen(descriptor, "rb", buffering=0)
    return (_CompleteFile if is_complete_mp4(file) else GrowingFile)(file, timeout, stop, path)


def standard_input(timeout: float, stop: Event) -> Pipe:
    """Standard input up to its end.

    Raises:
        SourceUnavailable: it is closed.
    """
    if sys.stdin is None:
        raise SourceUnavailable("standard input is closed; pipe a stream of H.264 or HEVC into it")
    return Pipe(sys.stdin.fileno(), timeout, stop, owned=False)
