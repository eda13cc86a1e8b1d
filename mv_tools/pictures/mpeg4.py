"""Which picture libavcodec decodes with each packet of MPEG-4 Part 2, and in which order it outputs them.

Encoders of AVI files "pack" pictures: a packet holds a P and a B picture, and the next one none. libavcodec
decodes the second picture of a packet with the next packet, whose own picture waits in turn. P pictures do
not wait: they are lost.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Final

from .packet_rules import VOP_START_CODE

if TYPE_CHECKING:
    from .._native import Mpeg4Picture

__all__ = ["Mpeg4Order", "Mpeg4Packets"]

_PACKED: Final = re.compile(rb"\x00\x00\x01\xb2DivX\d+(?:Build|b)\d+p")
"""User data of encoders that pack pictures."""

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
        doubtful: whether a packet so far may be taken otherwise.
    """

    def __init__(self, headers: bytes) -> None:
        self.reader = importlib.import_module("mv_tools._native").Mpeg4Reader(headers)
        self.doubtful = False
        self._packed = _PACKED.search(headers) is not None
        self._waiting: Mpeg4Picture | None = None

    def push(self, packet: bytes) -> Mpeg4Picture | None:
        """The picture that is decoded with the next packet; None if there is none.

        A picture without data of its own is decoded with its packet where no other is.
        """
        self._packed = self._packed or _PACKED.search(packet) is not None
        waiting, self._waiting = self._waiting, None
        if waiting is not None and _starts_sequence(packet):
            waiting = None
        found: list[Mpeg4Picture] = self.reader.push(packet, fills_a_place=waiting is not None)
        own = found[:1] if waiting is None else []
        later = [] if own and own[0].repeats else found[len(own) : len(own) + 1]
        if later and later[0].pict_type in _WAIT and self._waits(packet, is_second=bool(own)):
            self._waiting = later[0]
        lost = len(found) > len(own) + (self._waiting is not None or not later or later[0].repeats)
        self.doubtful = self.doubtful or lost or any(picture.is_cut for picture in found)
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


class Mpeg4Order:
    """The order in which pictures are output, where headers leave no doubt.

    Args:
        headers: those that the container keeps.
    """

    def __init__(self, headers: bytes) -> None:
        self._packets = Mpeg4Packets(headers)
        self._kinds: list[str] = []

    def push(self, packet: bytes) -> None:
        """Take the next packet."""
        picture = self._packets.push(packet)
        kind = "" if picture is None or picture.repeats else picture.pict_type
        self._kinds.append(kind)
        if picture is not None and (picture.repeats or (kind == "B" and picture.distances is None)):
            # libavcodec leaves out B pictures whose time is not between those of the others.
            self._packets.doubtful = True

    def output(self) -> tuple[list[int], list[bool]] | None:
        """(number of the packet, whether it is an I picture) of each picture, in the order of output.

        None where decoding alone tells: the stream does not say that it has B pictures, begins or ends
        with something else than a picture, or has B pictures before the second I or P picture.
        """
        kinds = self._kinds
        known = self._packets.reader.low_delay is False and not self._packets.doubtful
        if not known or not kinds or kinds[0] != "I" or not kinds[-1] or "S" in kinds:
            return None
        shown: list[int] = []
        held, anchors = 0, 0
        for number, kind in enumerate(kinds):
            if kind == "B":
                if anchors < 2:
                    return None
                shown.append(number)
            elif kind:  # an I or P picture is output when the next one is decoded
                shown += [held] if anchors else []
                held, anchors = number, anchors + 1
        shown.append(held)
        return shown, [kinds[number] == "I" for number in shown]
