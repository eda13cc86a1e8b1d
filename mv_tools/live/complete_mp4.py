"""Whether an MP4 file is complete, or may still be written (ISO/IEC 14496-12)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import IO, Final, NamedTuple

__all__ = ["is_complete_mp4"]

_MOST_BOXES: Final = 100_000  # at a level; files of fragments have two each


class _Box(NamedTuple):
    kind: bytes
    start: int  # of the content
    end: int


def is_complete_mp4(file: IO[bytes]) -> bool:
    """Whether an MP4 file has its whole index and all its media data, so that it does not grow.

    One of fragments (8.8: the index has an mvex box) can grow, and one whose index or media data reach
    behind the end of the file is being written. The position is left at the start.
    """
    try:
        size = file.seek(0, os.SEEK_END)
        boxes = _boxes(file, 0, size)
        if next(boxes, _Box(b"", 0, 0)).kind != b"ftyp":
            return False
        index = None
        for box in boxes:
            if box.end > size:
                return False
            if box.kind == b"moov":
                index = box
                break
            if box.kind == b"moof":
                return False
        if index is None or any(box.kind == b"mvex" for box in _boxes(file, index.start, index.end)):
            return False
        return all(box.end <= size for box in _boxes(file, index.end, size) if box.kind == b"mdat")
    finally:
        file.seek(0)


def _boxes(file: IO[bytes], start: int, end: int) -> Iterator[_Box]:
    """The boxes in a part of a file (4.2)."""
    for _ in range(_MOST_BOXES):
        file.seek(start)
        header = file.read(16)
        if start + 8 > end or len(header) < 8:
            return
        size, kind = struct.unpack(">I4s", header[:8])
        content = start + 8
        if size == 1 and len(header) == 16:
            size, content = struct.unpack(">Q", header[8:])[0], start + 16
        stop = end if size == 0 else start + size  # 0: up to the end
        if stop < content:
            return
        yield _Box(kind, content, stop)
        start = stop
