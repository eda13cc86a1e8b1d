"""Which picture libavcodec decodes with each packet of MPEG-4 Part 2.

Encoders of AVI files "pack" pictures: a packet holds a P and a B picture, and the next one none. libavcodec
decodes the second picture of a packet with the next packet, whose own picture waits in turn. P pictures do
not wait: they are lost.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .._native import Mpeg4Picture

__all__ = ["VOP_START_CODE", "Mpeg4Packets", "holds_pictures"]

VOP_START_CODE: Final = b"\0\0\1\xb6"
"""vop_start_code (ISO/IEC 14496-2, 6.2.5)."""

_ENCODER: Final = re.compile(rb"\x00\x00\x01\xb2DivX\d+(?:Build|b)\d+(p?)")
"""User data that name the encoder, with a "p" where it packs pictures."""

_START_CODE: Final = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_SEQUENCE: Final = b"\xb0"  # visual_object_sequence_start_code
_WAIT: Final = ("I", "B")  # types of pictures that wait
_MIN_WAITING: Final = 8  # bytes of what waits; of a second picture it is not clear how many libavcodec counts


class Mpeg4Packets:
    """Finds the picture that is decoded with each packet.

    Args:
        headers: those that the container keeps.

    Attributes:
        reader: of the packets.
        doubtful: whether libavcodec may decode other pictures with a packet so far.
    """

    def __init__(self, headers: bytes) -> None:
        self.reader = importlib.import_module("mv_tools._native").Mpeg4Reader(headers)
        self.doubtful = False
        self._packed = _packs(headers, before=False)
        self._waiting: Mpeg4Picture | None = None

    def push(self, packet: bytes) -> Mpeg4Picture | None:
        """Take the next packet.

        Returns:
            The picture that libavcodec decodes with it, or None. A picture without data counts only where no
            other waits.
        """
        self._packed = _packs(packet, before=self._packed)
        waiting, self._waiting = self._waiting, None
        if waiting is not None and _starts_sequence(packet):
            waiting = None
        pictures: list[Mpeg4Picture] = self.reader.push(packet, fills_a_place=waiting is not None)
        own = pictures[:1] if waiting is None else []
        later = [] if own and own[0].repeats else pictures[len(own) : len(own) + 1]
        if later and later[0].pict_type in _WAIT and self._waits(packet, is_second=bool(own)):
            self._waiting = later[0]
        # In the place of one that came before, a longer packet than encoders write may wait as well.
        replaced = waiting is not None and later and later[0].repeats and len(packet) >= _MIN_WAITING
        lost = len(pictures) > len(own) + (self._waiting is not None or not later or later[0].repeats)
        self.doubtful = self.doubtful or lost or bool(replaced) or any(picture.is_cut for picture in pictures)
        return waiting or next(iter(own), None)

    def _waits(self, packet: bytes, *, is_second: bool) -> bool:
        """Whether a packet is long enough for its first or second picture to wait."""
        if not is_second:
            return len(packet) >= _MIN_WAITING
        second = packet.find(VOP_START_CODE, packet.find(VOP_START_CODE) + 1)
        self.doubtful = self.doubtful or len(packet) - second < _MIN_WAITING
        return self._packed


def _starts_sequence(packet: bytes) -> bool:
    """Whether the first start code is that of a sequence, before which no picture waits."""
    first = _START_CODE.search(packet)
    return first is not None and first[1] == _SEQUENCE


def _packs(data: bytes, *, before: bool) -> bool:
    """Whether pictures are packed from these data on: as the last user data say."""
    for found in _ENCODER.finditer(data):
        before = bool(found[1])
    return before


def holds_pictures(packet: bytes) -> bool:
    """Whether a packet holds more than one picture."""
    return packet.find(VOP_START_CODE, packet.find(VOP_START_CODE) + 1) >= 0
