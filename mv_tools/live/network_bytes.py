"""Bytes of a TCP, UDP or HTTP source, as libavformat's protocols receive them."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Any, Final

import av
import av.error

from ..source import demuxed
from .address import Address
from .byte_stream import ByteStream

__all__ = ["NetworkBytes"]

_LARGEST_READ: Final = 1 << 15  # bytes; what has come is given out at once


class NetworkBytes(ByteStream):
    """What a source sends, up to its end.

    A demuxer that reads the network itself waits in libavformat while nothing comes of the streams that it
    knows; here what passes by is seen.

    Args:
        address: of the scheme tcp, udp, http or https.
        timeout: seconds without an answer or data.
        stop: ends reading.

    Attributes:
        error: libavformat's, if the connection broke.

    Raises:
        av.error.FFmpegError: the source can't be reached. Its message holds the address with its password.
    """

    def __init__(self, address: Address, timeout: float, stop: Event) -> None:
        super().__init__(timeout, stop)
        options = {"raw_packet_size": str(_LARGEST_READ), **address.byte_options(timeout)}
        self._container: Any = av.open(
            address.target, mode="r", format="data", options=options, timeout=(timeout, timeout)
        )
        self._parts: Iterator[Any] = demuxed(self._container, *self._container.streams)
        self._rest = b""
        self.error: av.error.FFmpegError | None = None

    def _available(self, size: int) -> bytes | None:
        try:
            data = self._rest or bytes(next(self._parts))
        except StopIteration:
            return None
        except av.error.FFmpegError as error:
            self.error = error
            return None
        self._rest = data[size:]
        return data[:size]

    def close(self) -> None:
        """Close the connection."""
        self._container.close()
