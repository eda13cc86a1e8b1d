"""Reading the packets of a video stream through libavformat, without decoding pictures."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ..display import read_display
from ..errors import MalformedStream, UnsupportedStream
from ..source import Source, demuxed, open_video
from .appended import appended_flv, appended_mp4
from .matroska import declared_end
from .packet_source import PacketVisitor
from .packets import NO_PTS, PacketIndex, StreamProperties
from .transport_stream import find_other_video, spans_without_packets

__all__ = ["DemuxedPackets", "PacketCursor", "read_packets"]

_UNINDEXED_FORMATS: Final = frozenset(("mpegts", "mpeg", "mpegvideo", "h264", "hevc", "m4v"))
"""Formats without a table of contents: a recording may end anywhere without being truncated."""


def read_packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """The packets of the video stream that hold data, as far as the container can be read."""
    with contextlib.suppress(av.error.FFmpegError):  # recorded by the scan: `PacketIndex.truncation`
        yield from demuxed(container, stream)


class PacketCursor:
    """Reads an opened file forward and numbers its packets.

    Attributes:
        last: number of the packet read last, -1 at the start.
    """

    def __init__(self, packets: PacketIndex, container: InputContainer, stream: VideoStream) -> None:
        self._index = packets
        self._container = container
        self._stream = stream
        self._packets = enumerate(read_packets(container, stream))
        self.last = -1

    def __iter__(self) -> Iterator[tuple[int, Packet[VideoStream]]]:
        for number, packet in self._packets:
            self.last = number
            yield number, packet

    def bytes_before(self, packet: int) -> int:
        """Bytes between the packet read last and `packet`."""
        return int(self._index.size[self.last + 1 : packet].sum())

    def seek(self, packet: int) -> bool:
        """Continue at or before `packet`.

        Returns:
            False if the container can't seek there, and the cursor has not moved; or if the position after
            the seek is unknown, which leaves no packet to read and `last` behind the end.
        """
        if not self._index.seek(self._container, self._stream, packet):
            return False
        packets = read_packets(self._container, self._stream)
        first = next(packets, None)
        number = None if first is None else self._index.locate(first)
        if first is None or number is None or number > packet:
            self._packets, self.last = enumerate(iter(())), len(self._index)
            return False
        self._packets, self.last = enumerate(chain((first,), packets), number), number - 1
        return True


@dataclass
class _Columns:
    """The columns of a PacketIndex while packets are read."""

    pts: list[int] = field(default_factory=list)
    dts: list[int] = field(default_factory=list)
    duration: list[int] = field(default_factory=list)
    keyframe: list[bool] = field(default_factory=list)
    displayed: list[bool] = field(default_factory=list)
    corrupt: list[bool] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    position: list[int] = field(default_factory=list)

    def append(self, packet: Packet[VideoStream]) -> None:
        self.pts.append(NO_PTS if packet.pts is None else packet.pts)
        self.dts.append(NO_PTS if packet.dts is None else packet.dts)
        self.duration.append(packet.duration or 0)
        self.keyframe.append(bool(packet.is_keyframe))
        self.displayed.append(not packet.is_discard)
        self.corrupt.append(bool(packet.is_corrupt))
        self.size.append(packet.size)
        self.position.append(-1 if packet.pos is None else packet.pos)

    def __len__(self) -> int:
        return len(self.pts)

    def arrays(self, *, in_one_piece: bool) -> dict[str, Any]:
        """The columns of PacketIndex.

        Args:
            in_one_piece: whether the container leaves packets in one piece.
        """
        dtypes = {"keyframe": bool, "displayed": bool, "corrupt": bool}
        arrays = {name: np.array(values, dtypes.get(name, np.int64)) for name, values in vars(self).items()}
        return arrays if in_one_piece else arrays | {"position": np.full(len(self), -1, np.int64)}


@dataclass(frozen=True)
class DemuxedPackets:
    """Packets that libavformat reads: of any format."""

    source: Source

    def scan(self, visitor: PacketVisitor) -> PacketIndex:
        """See :class:`~mv_tools.pictures.packet_source.PacketSource`."""
        source, columns = self.source, _Columns()
        with open_video(source, packets_only=True) as (container, stream):
            formats = container.format.name
            mp4, matroska = "mp4" in formats, "matroska" in formats
            properties = StreamProperties.of(stream, probed=not mp4)
            time_base = float(stream.time_base or 0)
            identifiers = frozenset(other.id for other in container.streams)
            truncation = _read_columns(source, container, stream, columns, visitor)
            declared = _declared_packets(stream, source.size) if mp4 else 0  # only MP4's table is exact
        if not columns:
            raise MalformedStream(f"{source.name}: the video stream holds no picture")
        if truncation is None:
            truncation = _truncation(columns, declared, unindexed=formats in _UNINDEXED_FORMATS)
        if truncation is None and matroska:
            truncation = _cut_matroska(source)
        if truncation is None:
            truncation = _unread(source, formats, columns, identifiers)
        distinct = NO_PTS not in columns.pts and len(set(columns.pts)) == len(columns)
        return PacketIndex(
            stream=properties,
            **columns.arrays(in_one_piece=mp4),
            time_base=time_base,
            exact_seeks=distinct and (mp4 or matroska),
            truncation=truncation,
        )


def _read_columns(
    source: Source, container: InputContainer, stream: VideoStream, columns: _Columns, visitor: PacketVisitor
) -> str | None:
    """Fill the columns; returns why reading stopped before the end of the file, if it did."""
    name = source.name
    try:
        for packet in demuxed(container, stream):
            if packet.has_sidedata("encryption_info"):
                raise UnsupportedStream(
                    f"{name}: the samples are encrypted (Common Encryption, ISO/IEC 23001-7) "
                    f"from packet {len(columns)} on; decrypt the file first"
                )
            if not columns:
                context = stream.codec_context
                extradata = None if context.extradata is None else bytes(context.extradata)
                visitor.start(context.codec.canonical_name, extradata, read_display(source, stream))
            visitor.visit((bytes(packet),))
            columns.append(packet)
    except av.error.FFmpegError as error:
        if not columns:
            raise MalformedStream(f"{name}: no packet can be read: {error}") from error
        return f"reading stopped after {len(columns)} packets: {str(error.strerror).lower()}"
    return None


def _declared_packets(stream: VideoStream, file_size: int) -> int:
    """Packets that an MP4 file's table places within the edit list, one more if the last one goes
    beyond the end of the file."""
    entries = stream.index_entries
    count = len(entries)
    if not count:
        return 0
    last = entries[count - 1]
    return count + (last.pos + last.size > file_size)


def _cut_matroska(source: Source) -> str | None:
    """Where a Matroska file is cut short."""
    end, size = declared_end(source), source.size
    return f"the file is cut short: it holds {size} of {end} bytes" if end and size < end else None


def _unread(source: Source, formats: str, columns: _Columns, identifiers: frozenset[int]) -> str | None:
    """What libavformat leaves out at the end of a file of one of its formats."""
    if "mpegts" in formats:
        return _other_video(source, columns, identifiers)
    behind, start = max(map(operator.add, columns.position, columns.size)), None
    if "mp4" in formats:
        start = appended_mp4(source, behind)
    elif formats == "flv":
        start = appended_flv(source, behind)
    if start is None:
        return None
    return (
        f"from byte {start:,} of {source.size:,} on it is another file, which is not read: files of its "
        "format are not joined by their bytes; cut it there"
    )


def _other_video(source: Source, columns: _Columns, known: frozenset[int]) -> str | None:
    """Where the video of an MPEG transport stream goes on in a stream that was not there at the start."""
    spans = spans_without_packets(columns.position, columns.size, source.size)
    other = find_other_video(source, spans, known)
    if other is None:
        return None
    return (
        f"from byte {other.position:,} of {source.size:,} on it has video in a stream that was not there "
        f"at its start (PID {other.pid}), which is not read; cut the file there"
    )


def _truncation(columns: _Columns, declared: int, *, unindexed: bool) -> str | None:
    """Where a file that was read to its end is cut short."""
    count = len(columns)
    if columns.corrupt[-1] and not unindexed:
        return f"the file is cut short inside picture {count - 1} (decoding order)"
    if count < declared:
        return f"the file is cut short: it holds {count} of {declared} pictures"
    return None
