"""One pass over a file: its packets and the headers in them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from av.packet import Packet
from av.video.stream import VideoStream

from ..display import Display, read_display
from ..source import Source, open_video
from .demux import scan_packets
from .native_headers import NATIVE_CODECS, Framing, HeaderReader, annex_b_framing, native_available
from .packet_rules import PacketRule, packet_rule
from .packets import PacketIndex

if TYPE_CHECKING:
    from .._native import PictureInfo, StreamIndex

__all__ = ["StreamScan", "scan_stream"]


@dataclass(frozen=True, kw_only=True)
class StreamScan:
    """Result of one pass over a file.

    Attributes:
        packets: in decoding order.
        headers: of the pictures of an H.264 or HEVC stream; None for other codecs, where the native module
            is not built, and where `unsupported` or `malformed` is set.
        framing: how NAL units are delimited, for the parser.
        stamp: of the file that was read (see :attr:`mv_tools.source.Source.stamp`).
        display: how pictures are shown.
        cached: the packets themselves, for a small file whose headers were read.
        entries: for codecs with a rule (`packet_rules`) if each packet holds one displayed picture: whether
            decoding can start at it.
        unsupported: the feature of the stream that the parser does not support.
        malformed: why no picture of the stream has a readable header.
    """

    packets: PacketIndex
    headers: StreamIndex | None
    framing: Framing
    stamp: tuple[int, int]
    display: Display
    cached: list[bytes] | None = None
    entries: list[bool] | None = None
    unsupported: str | None = None
    malformed: str | None = None

    @cached_property
    def infos(self) -> list[PictureInfo]:
        """Headers of all pictures in decoding order; empty where `headers` is None."""
        return [] if self.headers is None else self.headers.infos()


class _PacketVisitor:
    """Reads the headers in the packets of a file, by its codec."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._rule: PacketRule | None = None
        self.display = Display()
        self.headers: HeaderReader | None = None
        self.entries: list[bool] | None = None

    def __call__(self, packet: Packet[VideoStream], number: int) -> None:
        if number == 0:
            self._start(packet.stream)
        if self.headers is not None:
            self.headers.push(bytes(packet))
        elif self._rule is not None and self.entries is not None:
            entry = self._rule(bytes(packet))
            if entry is None:
                self.entries = None
            else:
                self.entries.append(entry)

    def _start(self, stream: VideoStream) -> None:
        self.display = read_display(self._source, stream)
        context = stream.codec_context
        codec, extradata = context.codec.canonical_name, context.extradata
        if codec in NATIVE_CODECS and native_available():
            self.headers = HeaderReader(codec, None if extradata is None else bytes(extradata))
        elif (rule := packet_rule(codec)) is not None:
            self._rule, self.entries = rule, []


def scan_stream(source: Source) -> StreamScan:
    """Read all packets and the headers of their pictures; no slice data is parsed.

    Raises:
        MalformedStream: damaged, or there is no packet.
        UnsupportedStream: the samples are encrypted.
    """
    visitor, stamp = _PacketVisitor(source), source.stamp
    packets = scan_packets(source, visitor)
    display, headers = visitor.display, visitor.headers
    if headers is None:
        if display.sample_aspect_ratio is None and not packets.stream.probed:
            with open_video(source) as (_, stream):
                display = display.with_aspect(stream.sample_aspect_ratio)
        return StreamScan(
            packets=packets,
            headers=None,
            framing=annex_b_framing(packets.stream.codec),
            stamp=stamp,
            display=display,
            entries=visitor.entries,
        )
    headers.finish()
    return StreamScan(
        packets=packets,
        headers=headers.index,
        framing=headers.framing,
        stamp=stamp,
        display=display if headers.index is None else display.with_aspect(headers.index.sar),
        cached=headers.cached,
        unsupported=headers.unsupported,
        malformed=headers.malformed,
    )
