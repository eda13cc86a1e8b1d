"""One pass over a file: its packets, and what they say of their pictures."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypedDict

from av.packet import Packet
from av.video.stream import VideoStream

from ..display import Display, read_display
from ..source import Source, open_video
from .packet_rules import PacketRule, packet_rule
from .packets import PacketIndex, scan_packets

if TYPE_CHECKING:
    from .._h264mv import PictureInfo, StreamIndex

__all__ = ["Framing", "StreamScan", "native_available", "scan_stream"]

_KEEP: Final = 32 << 20
"""Bytes of packets that stay in memory after the scan: files up to this size are read once."""

_BATCH: Final = 128  # packets whose headers are read in one call


def native_available() -> bool:
    """Whether the native module is built."""
    return importlib.util.find_spec("mv_tools._h264mv") is not None


class Framing(TypedDict):
    """How NAL units are delimited: by `length_size` bytes of length (0: start codes)."""

    length_size: int
    extradata: bytes | None


@dataclass(frozen=True)
class StreamScan:
    """What one pass over a file tells.

    Attributes:
        packets: in decoding order.
        headers: of the pictures of an H.264 stream; None for other codecs, where the native module
            is not built, and where `unsupported` or `malformed` say why not.
        unsupported: the feature of an H.264 stream that the parser does not read.
        malformed: why no picture of an H.264 stream has a header that can be read.
        keys: for codecs with a rule (`packet_rules`), if each packet shows one picture: whether decoding
            can start at it.
        framing: for the parser.
        kept: the packets themselves, if it is a small H.264 file.
        stamp: of the file that was read (see :attr:`mv_tools.source.Source.stamp`).
        display: how pictures are shown.
    """

    packets: PacketIndex
    headers: StreamIndex | None
    framing: Framing
    stamp: tuple[int, int]
    display: Display
    kept: list[bytes] | None = None
    keys: list[bool] | None = None
    unsupported: str | None = None
    malformed: str | None = None

    @cached_property
    def infos(self) -> list[PictureInfo]:
        """Headers of all pictures of an H.264 stream, in decoding order; none where `headers` is None."""
        return [] if self.headers is None else self.headers.infos()


def _framing(extradata: bytes | None) -> Framing:
    """avcC (ISO/IEC 14496-15, 5.2.4.1) has lengths, everything else start codes."""
    if extradata is None or len(extradata) < 7 or extradata[0] != 1:
        return {"length_size": 0, "extradata": extradata}
    return {"length_size": (extradata[4] & 3) + 1, "extradata": extradata}


class _Keys:
    """Applies a codec's rule to all packets, until one is not exactly one picture."""

    def __init__(self, rule: PacketRule) -> None:
        self._rule = rule
        self.keys: list[bool] | None = []

    def __call__(self, data: bytes) -> None:
        key = self._rule(data)
        if key is None or self.keys is None:
            self.keys = None
        else:
            self.keys.append(key)


class _Headers:
    """Reads the headers of all packets of an H.264 stream."""

    def __init__(self, extradata: bytes | None) -> None:
        from .._h264mv import H264Error, UnsupportedError
        from .._h264mv import StreamIndex as Headers

        self.framing = _framing(extradata)
        self.index: StreamIndex | None = None
        self.malformed: str | None = None
        self.unsupported: str | None = None
        try:
            self.index = Headers(**self.framing)
        except UnsupportedError as error:
            self.unsupported = str(error)
        except H264Error as error:
            self.malformed = str(error)
        self.kept: list[bytes] | None = []
        self._batch: list[bytes] = []
        self._count = 0
        self._bytes = 0

    def __call__(self, data: bytes) -> None:
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
        from .._h264mv import H264Error, UnsupportedError

        if self.index is not None:
            try:
                self.index.push_many(self._batch, self._count)
            except UnsupportedError as error:
                self.unsupported, self.index = str(error), None
            except H264Error as error:
                self.malformed, self.index = str(error), None
        self._count += len(self._batch)
        self._batch.clear()


class _Visitor:
    """Shown all packets of a file; hands their data to what fits the codec."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.display = Display()
        self.headers: _Headers | None = None
        self.keys: _Keys | None = None

    def __call__(self, packet: Packet[VideoStream], number: int) -> None:
        if number == 0:
            self.display = read_display(self.source, packet.stream)
            context = packet.stream.codec_context
            codec, extradata = context.codec.canonical_name, context.extradata
            extradata = None if extradata is None else bytes(extradata)
            if codec == "h264" and native_available():
                self.headers = _Headers(extradata)
            elif (rule := packet_rule(codec)) is not None:
                self.keys = _Keys(rule)
        if self.headers is not None:
            self.headers(bytes(packet))
        elif self.keys is not None and self.keys.keys is not None:
            self.keys(bytes(packet))


def scan_stream(source: Source) -> StreamScan:
    """Read all packets and the headers of their pictures; no slice data is parsed.

    Raises:
        MalformedStream: damaged, or there is no packet.
    """
    visitor, stamp = _Visitor(source), source.stamp
    packets = scan_packets(source, visitor)
    headers = visitor.headers
    if headers is None:
        keys = None if visitor.keys is None else visitor.keys.keys
        display = visitor.display
        if display.sample_aspect_ratio is None and not packets.stream.probed:
            with open_video(source) as (_, stream):
                display = display.with_aspect(stream.sample_aspect_ratio)
        return StreamScan(packets, None, _framing(None), stamp, display, keys=keys)
    headers.flush()
    index, malformed = headers.index, headers.malformed
    if index is not None and not len(index):
        malformed, index = index.first_error or "the video stream holds no picture", None
    return StreamScan(
        packets,
        index,
        headers.framing,
        stamp,
        visitor.display if index is None else visitor.display.with_aspect(index.sar),
        kept=headers.kept,
        unsupported=headers.unsupported,
        malformed=malformed,
    )
