"""Where a stream's packets come from: the interface of :mod:`demux` (libavformat) and :mod:`tables` (MP4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..display import Display
from .packets import PacketIndex

__all__ = ["PacketSource", "PacketVisitor"]


class PacketVisitor(Protocol):
    """Looks at the packets of a file while they are scanned."""

    def start(self, codec: str, extradata: bytes | None, display: Display) -> None:
        """Take the properties of the stream; called before the first packets.

        Args:
            codec: libavcodec's name of the codec.
            extradata: parameter sets of the container.
            display: how pictures are shown.
        """

    def visit(self, packets: Sequence[bytes]) -> None:
        """Take the next packets, in decoding order."""


class PacketSource(Protocol):
    """The packets of a file's video stream, in decoding order."""

    def scan(self, visitor: PacketVisitor) -> PacketIndex:
        """Hand all packets to a visitor; returns their times, sizes and flags.

        Raises:
            MalformedStream: the file can't be read or holds no picture.
            UnsupportedStream: its samples are encrypted.
        """
