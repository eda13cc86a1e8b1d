"""Vectors of MPEG-4 Part 2 that libavcodec does not export: those of B pictures and of the last picture."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import MalformedStream, UnsupportedStream
from ..pictures.native_headers import native_problem
from ..pictures.reader import HEADERS
from .exported import Motion

if TYPE_CHECKING:
    from .._native import Mpeg4Picture

__all__ = ["Mpeg4Vectors"]

_PACKED: Final = re.compile(rb"\x00\x00\x01\xb2DivX\d+(?:Build|b)\d+p")
"""User data of encoders that pack pictures."""

_KEPT: Final = 32  # packets whose pictures are kept; more than the decoder and the reader hold back


class Mpeg4Vectors:
    """Reads vectors from the packets that a decoder takes.

    In streams that say in their user data that they are "packed", a packet may hold two pictures. libavcodec
    decodes the second with the next packet, whose own picture waits in turn until a packet without one.
    Elsewhere it decodes the first picture of a packet.
    """

    def __init__(self) -> None:
        self._problem = native_problem()
        self._headers = b""
        self._next = HEADERS
        self._decoded: dict[int, Mpeg4Picture] = {}
        self._start()

    def _start(self) -> None:
        self._waiting: list[Mpeg4Picture] = []
        self._packed = _PACKED.search(self._headers) is not None
        if self._problem is None:
            from .._native import Mpeg4Reader

            self._reader = Mpeg4Reader(self._headers)

    def push(self, number: int, packet: bytes) -> None:
        """Take the headers or a packet, in decoding order; it starts anew where numbers do not continue."""
        if number == HEADERS:
            self._headers = packet
        if number != self._next or number == HEADERS:
            self._start()
        self._next = number + 1
        if number == HEADERS or self._problem is not None:
            return
        self._packed = self._packed or _PACKED.search(packet) is not None
        coded = self._reader.push(packet, fills_a_place=bool(self._waiting))
        ready, self._waiting = (self._waiting, coded) if self._waiting else (coded, coded[1:])
        if not self._packed:
            self._waiting = []
        if ready:
            self._decoded[number] = ready[0]
        self._decoded.pop(number - _KEPT, None)

    def motion(self, number: int, pict_type: str, grid_shape: tuple[int, int]) -> Motion:
        """Motion of the P or B picture that the decoder gave out for a packet, once.

        Args:
            number: of the packet.
            pict_type: "P" or "B", as the decoder says.
            grid_shape: (H4, W4) of its 4x4 blocks.

        Raises:
            MalformedStream: it is damaged, or depends on a missing picture.
            UnsupportedStream: it uses a feature that is not supported, or the native module can't be used.
        """
        if self._problem is not None:
            raise UnsupportedStream(
                f"vectors of B pictures of MPEG-4 need the native module: {self._problem}"
            )
        from .._native import NativeError, UnsupportedError

        picture = self._decoded.pop(number, None)
        if picture is None or picture.pict_type.replace("S", "P") != pict_type:
            raise MalformedStream(f"no {pict_type} picture was found in its packet")
        try:
            mv, ref_idx = picture.motion()
        except UnsupportedError as error:
            raise UnsupportedStream(str(error)) from error
        except NativeError as error:
            raise MalformedStream(str(error)) from error
        rows, columns = grid_shape
        if mv.shape[1] < rows or mv.shape[2] < columns:
            raise MalformedStream("its size differs from that of the decoded picture")
        return np.ascontiguousarray(mv[:, :rows, :columns]), np.ascontiguousarray(ref_idx[:, :rows, :columns])
