"""What one pass over an H.264 file tells the native backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypedDict

from av.packet import Packet
from av.video.stream import VideoStream

from ..demux import PacketIndex, scan_packets
from ..errors import MalformedStream
from ..source import Source
from .base import OtherBackend

if TYPE_CHECKING:
    from .._h264mv import StreamIndex

__all__ = ["Framing", "StreamScan", "scan_stream"]

_KEEP: Final = 32 << 20
"""Bytes of packets that stay in memory after the scan: files up to this size are read once."""

_BATCH: Final = 128  # packets whose headers are read in one call


class Framing(TypedDict):
    """How NAL units are delimited: by `length_size` bytes of length (0: start codes)."""

    length_size: int
    extradata: bytes | None


@dataclass(frozen=True)
class StreamScan:
    """Packets and headers of a file.

    Attributes:
        packets: in decoding order.
        headers: of the pictures in them.
        framing: for the parser.
        kept: the packets themselves, if the file is small.
        corrupt: number of the first packet that is cut short.
        stamp: of the file that was read (see :attr:`mv_tools.source.Source.stamp`).
    """

    packets: PacketIndex
    headers: StreamIndex
    framing: Framing
    kept: list[bytes] | None
    corrupt: int | None
    stamp: tuple[int, int]


def _framing(stream: VideoStream) -> Framing:
    """avcC (ISO/IEC 14496-15, 5.2.4.1) has lengths, everything else start codes."""
    extradata = stream.codec_context.extradata
    if extradata is None or len(extradata) < 7 or extradata[0] != 1:
        return {"length_size": 0, "extradata": None}  # parameter sets come within the stream
    return {"length_size": (extradata[4] & 3) + 1, "extradata": bytes(extradata)}


class _Visitor:
    """Shown all packets of a file; makes the headers of them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.headers: StreamIndex | None = None
        self.framing: Framing = {"length_size": 0, "extradata": None}
        self.kept: list[bytes] | None = []
        self.corrupt: int | None = None
        self._batch: list[bytes] = []
        self._count = 0
        self._bytes = 0

    def __call__(self, packet: Packet[VideoStream], number: int) -> None:
        if self.headers is None:
            self.headers = self._start(packet.stream)
        if packet.is_corrupt and self.corrupt is None:
            self.corrupt = number
        data = bytes(packet)
        self._batch.append(data)
        if len(self._batch) == _BATCH:
            self.flush()
        self._bytes += len(data)
        if self._bytes > _KEEP:
            self.kept = None
        if self.kept is not None:
            self.kept.append(data)

    def flush(self) -> None:
        """Read the headers of the packets that wait for it."""
        if self.headers is not None:
            self.headers.push_many(self._batch, self._count)
        self._count += len(self._batch)
        self._batch.clear()

    def _start(self, stream: VideoStream) -> StreamIndex:
        from .._h264mv import StreamIndex as Headers

        if stream.codec_context.name != "h264":
            raise OtherBackend(
                f"{self.source.name}: the native backend reads H.264, this is {stream.codec_context.name!r}; "
                "use backend='libav' or 'auto'",
                expected=True,
            )
        self.framing = _framing(stream)
        return Headers(**self.framing)


def scan_stream(source: Source) -> StreamScan:
    """Read all packets and the headers of their pictures; no slice data is parsed.

    Raises:
        OtherBackend: not H.264, or it uses a feature that is not parsed.
        MalformedStream: damaged, or there is no picture.
    """
    from .._h264mv import H264Error, UnsupportedError

    visitor, stamp = _Visitor(source), source.stamp
    try:
        packets = scan_packets(source, visitor)
        visitor.flush()
    except UnsupportedError as error:
        raise OtherBackend(f"{source.name}: {error}", expected=False) from error
    except H264Error as error:
        raise MalformedStream(f"{source.name}: {error}") from error
    headers = visitor.headers
    if headers is None or not len(headers):
        why = (headers and headers.first_error) or "the video stream holds no picture"
        raise MalformedStream(f"{source.name}: {why}")
    return StreamScan(packets, headers, visitor.framing, visitor.kept, visitor.corrupt, stamp)
