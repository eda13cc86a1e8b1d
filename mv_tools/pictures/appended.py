"""Files at whose end another one was appended, which libavformat does not read: MP4 and FLV.

MPEG-TS, MPEG-PS, AVI, Matroska and raw streams are read on.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO, Final

from ..source import Source

__all__ = ["appended_flv", "appended_mp4"]

_LARGE: Final = 1  # size of a box whose real size follows (ISO/IEC 14496-12, 4.2)
_MOST_BOXES: Final = 1 << 20
_FLV: Final = b"FLV\x01"  # version 1, the only one (Adobe Flash Video File Format 10.1, E.2)
_FLV_HEADER: Final = 9  # bytes, as it states itself
_SEARCHED: Final = 1 << 18  # bytes behind the last picture, in which its sound may follow


def appended_mp4(source: Source, behind: int) -> int | None:
    """The byte at which a second MP4 or QuickTime file with tables of its own begins; None if none does.

    Args:
        source: the file.
        behind: where the last packet in it ends. Fragments behind their movie box again are read on.
    """
    start = None
    with source.open_raw() as file:
        for position, kind, _ in _boxes(file, source.size):
            if kind == b"ftyp" and position >= behind:
                start = position
            elif kind == b"moov" and start is not None:
                return start
    return None


def _boxes(file: IO[bytes], end: int) -> Iterator[tuple[int, bytes, int]]:
    """(position, kind, size) of the boxes of a file, as far as they can be followed."""
    position = 0
    for _ in range(_MOST_BOXES):
        file.seek(position)
        head = file.read(16)
        if len(head) < 8:
            return
        size, kind = struct.unpack_from(">I4s", head)
        if size == _LARGE and len(head) == 16:
            size = struct.unpack_from(">Q", head, 8)[0]
        if size < 8 or position + size > end:
            return
        yield position, kind, size
        position += size


def appended_flv(source: Source, behind: int) -> int | None:
    """The byte at which a second FLV file begins; None if none does.

    Args:
        source: the file.
        behind: where the last packet in it ends.
    """
    with source.open_raw() as file:
        file.seek(behind)
        data = file.read(_SEARCHED)
    place = data.find(_FLV)
    while place >= 0:
        if data[place + 5 : place + _FLV_HEADER] == struct.pack(">I", _FLV_HEADER):
            return behind + place
        place = data.find(_FLV, place + 1)
    return None
