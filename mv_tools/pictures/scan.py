"""One pass over a file: its packets and the headers in them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..display import Display
from ..source import Source, open_video
from .demux import DemuxedPackets
from .mpeg4 import holds_pictures
from .mpeg4_scan import Mpeg4Headers, Mpeg4Scan
from .native_headers import (
    NATIVE_CODECS,
    Framing,
    HeaderReader,
    PacketCache,
    annex_b_framing,
    native_available,
)
from .packets import PacketIndex
from .tables import TabledPackets, UnfitTables

if TYPE_CHECKING:
    from .._native import ByteSource, PictureInfo, StreamIndex

__all__ = ["StreamScan", "scan_demuxed", "scan_stream", "scan_tables"]

log = logging.getLogger(__name__)


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
        cached: the packets themselves, for a small file of a codec that the native module parses.
        mpeg4: what the headers of MPEG-4 Part 2 tell; None for other codecs, and without the native module.
        packed: packets of MPEG-4 Part 2 that hold several pictures, which are decoded with later ones.
        unsupported: the feature of the stream that the parser does not support.
        malformed: why no picture of the stream has a readable header.
        unfit: why packets were read through libavformat; None where they came
            from the sample tables of an MP4 file.
    """

    packets: PacketIndex
    headers: StreamIndex | None
    framing: Framing
    stamp: tuple[int, ...]
    display: Display
    cached: list[bytes] | None = None
    mpeg4: Mpeg4Headers | None = None
    packed: tuple[int, ...] = ()
    unsupported: str | None = None
    malformed: str | None = None
    unfit: str | None = None

    @cached_property
    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """What numbering needs of the headers, as arrays over the pictures in decoding order."""
        return {} if self.headers is None else self.headers.columns()

    @cached_property
    def one_frame_each(self) -> bool:
        """Whether each picture is a frame, and the only one in its packet."""
        columns = self.columns
        if not columns or not len(columns["sample"]):
            return False
        samples, frames = columns["sample"], columns["frame"]
        distinct = len(np.unique(samples)) == len(np.unique(frames)) == len(samples)
        return distinct and bool(columns["is_frame"].all()) and int(samples.max()) < len(self.packets)

    @cached_property
    def infos(self) -> list[PictureInfo]:
        """Headers of all pictures in decoding order; empty where `headers` is None."""
        return [] if self.headers is None else self.headers.infos()


class _PacketVisitor:
    """Reads the headers in the packets of a file, by its codec."""

    def __init__(self) -> None:
        self._codec = ""
        self.display = Display()
        self.headers: HeaderReader | None = None
        self.mpeg4: Mpeg4Scan | None = None
        self.packed: list[int] = []
        self._number = 0
        self.cache: PacketCache | None = None  # of a codec that the native module parses without `headers`

    def start(self, codec: str, extradata: bytes | None, display: Display) -> None:
        self._codec, self.display = codec, display
        if codec in NATIVE_CODECS and native_available():
            self.headers = HeaderReader(codec, extradata)
        elif codec == "mpeg4" and native_available():
            self.cache, self.mpeg4 = PacketCache(), Mpeg4Scan(extradata or b"")

    def visit(self, packets: Sequence[bytes]) -> None:
        if self.headers is not None:
            self.headers.push(packets)
            return
        if self.cache is not None:
            self.cache.push(packets)
        for packet in packets if self._codec == "mpeg4" else ():
            if holds_pictures(packet):
                self.packed.append(self._number)
            self._number += 1
            if self.mpeg4 is not None:
                self.mpeg4.push(packet)

    def headers_at(self, source: ByteSource, packets: PacketIndex) -> None:
        if self.headers is not None:
            self.headers.push_starts(source, packets.position, packets.size)


def scan_stream(source: Source, tables: TabledPackets | None = None) -> StreamScan:
    """Read all packets and the headers of their pictures; no slice data is parsed.

    Packets come from the sample tables of an MP4 file, or through libavformat.

    Args:
        source: the file.
        tables: its sample tables, if they were read.

    Raises:
        MalformedStream: damaged, or there is no packet.
        UnsupportedStream: the samples are encrypted.
    """
    try:
        return scan_tables(source, tables or TabledPackets.open(source))
    except UnfitTables as error:
        log.debug("%s: read through libavformat: %s", source.name, error)
        return scan_demuxed(source, unfit=str(error))


def scan_tables(source: Source, tables: TabledPackets) -> StreamScan:
    """Scan a file by its sample tables.

    Raises:
        UnfitTables: the packets contradict the tables, or the file changed meanwhile.
    """
    stamp, visitor = tables.stamp, _PacketVisitor()
    packets = tables.scan(visitor)
    headers = visitor.headers
    if headers is None or stamp[0] != tables.content.size or stamp != source.stamp:
        raise UnfitTables("the file changed while it was read")
    headers.finish()
    if headers.index is None or headers.index.errors():
        raise UnfitTables("headers of pictures can't be read")
    packets = replace(packets, keyframe=packets.keyframe.copy())
    scan = _with_headers(packets, headers, visitor.display, stamp)
    if tables.codec == "h264":
        _flag_keyframes(packets.keyframe, scan.columns)
    return scan


def scan_demuxed(source: Source, unfit: str | None = None) -> StreamScan:
    """Scan a file through libavformat.

    Args:
        source: the file.
        unfit: why its sample tables are not used.

    Raises:
        MalformedStream: damaged, or there is no packet.
        UnsupportedStream: the samples are encrypted.
    """
    visitor, stamp = _PacketVisitor(), source.stamp
    packets = DemuxedPackets(source).scan(visitor)
    display, headers = visitor.display, visitor.headers
    if headers is not None:
        headers.finish()
        return replace(_with_headers(packets, headers, display, stamp), unfit=unfit)
    if display.sample_aspect_ratio is None and not packets.stream.probed:
        with open_video(source) as (_, stream):
            display = display.with_aspect(stream.sample_aspect_ratio)
    return StreamScan(
        packets=packets,
        headers=None,
        framing=annex_b_framing(packets.stream.codec),
        stamp=stamp,
        display=display,
        cached=None if visitor.cache is None else visitor.cache.packets,
        mpeg4=None if visitor.mpeg4 is None else visitor.mpeg4.finish(),
        packed=tuple(visitor.packed),
        unfit=unfit,
    )


def _with_headers(
    packets: PacketIndex, headers: HeaderReader, display: Display, stamp: tuple[int, ...]
) -> StreamScan:
    return StreamScan(
        packets=packets,
        headers=headers.index,
        framing=headers.framing,
        stamp=stamp,
        display=display if headers.index is None else display.with_aspect(headers.index.sar),
        cached=headers.cache.packets,
        unsupported=headers.unsupported,
        malformed=headers.malformed,
    )


def _flag_keyframes(keyframe: npt.NDArray[np.bool_], columns: dict[str, npt.NDArray[Any]]) -> None:
    """Set the keyframe flags of libavformat's parser of H.264, which replace those of the table of sync
    samples: IDR pictures and those with a recovery point message."""
    keyframe[:] = False
    keyframe[columns["sample"][columns["idr"] | (columns["recovery_frame_cnt"] >= 0)]] = True
