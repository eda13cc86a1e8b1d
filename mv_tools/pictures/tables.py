"""Reading the packets of an MP4 or QuickTime file by its sample tables, without libavformat.

The native module reads the tables (rust/mp4tables) and refuses those that libavformat repairs or guesses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from ..display import Display, Orientation
from ..source import Source, open_video
from .native_headers import native_available
from .packet_source import PacketVisitor
from .packets import PacketIndex, StreamProperties

if TYPE_CHECKING:
    from .._native import ByteSource, Mp4Track

__all__ = ["StartVisitor", "TabledPackets", "UnfitTables"]

_MAX_WHOLE_BYTES: Final = 32 << 20
"""Files with more video data are scanned by reading the starts of their NAL units only."""

_MAX_GAP: Final = 2
"""Packets are read in one piece if they lie in at most so many times their own bytes."""


_START_CODE: Final = b"\0\0\0\1"
_MAX_TERM: Final = (1 << 31) - 1  # libavformat rounds ratios to such terms


class UnfitTables(Exception):  # not an error: the file is read with libavformat
    """The sample tables of a file are not used; says why."""


@contextmanager
def refusing_unfit() -> Iterator[None]:
    """Raise UnfitTables where the native module refuses tables or samples, or reading fails.

    A file that can't be read is opened again by libavformat, which reports the reason.
    """
    from .._native import UnfitError

    try:
        yield
    except (UnfitError, OSError) as error:
        raise UnfitTables(str(error)) from error


class StartVisitor(PacketVisitor, Protocol):
    """A visitor that can read headers from the starts of NAL units."""

    def headers_at(self, source: ByteSource, packets: PacketIndex) -> None:
        """Read the headers of all packets at their positions in a file."""


@dataclass(frozen=True)
class TabledPackets:
    """Packets that the sample tables of an MP4 file describe: of H.264 and HEVC.

    Attributes:
        content: the bytes of the file.
        index: times, sizes and flags by the tables alone. `keyframe` is the table of sync samples; for
            H.264, libavformat flags the pictures that say so in the stream instead.
        codec: libavcodec's name of the codec.
        extradata: the avcC or hvcC record.
        display: how pictures are shown, by the container.
        stamp: of the file, taken before its tables were read.
    """

    content: ByteSource
    index: PacketIndex
    codec: str
    extradata: bytes
    display: Display
    stamp: tuple[int, ...]

    @classmethod
    def open(cls, source: Source) -> TabledPackets:
        """Read the tables of a file.

        Raises:
            UnfitTables: not an MP4 file with H.264 or HEVC, or the tables need libavformat.
        """
        if not native_available():
            raise UnfitTables("the native module is not built")
        stamp = source.stamp
        if stamp[0] == 0 or (source.path is not None and not source.path.is_file()):
            raise UnfitTables("not a file with content")
        from .._native import ByteSource, Mp4Track

        with refusing_unfit():
            content = ByteSource(source.content)
            track = Mp4Track(content)
            properties = _properties(source, track)
        aspect = None if track.aspect is None else Fraction(*track.aspect)
        return cls(
            content=content,
            index=_index(track, properties),
            codec=track.codec,
            extradata=track.configuration,
            display=Display(Orientation.from_matrix(track.matrix)).with_aspect(aspect),
            stamp=stamp,
        )

    def scan(self, visitor: StartVisitor) -> PacketIndex:
        """See :class:`~mv_tools.pictures.packet_source.PacketSource`.

        Raises:
            UnfitTables: the packets contradict the tables.
        """
        visitor.start(self.codec, self.extradata, self.display)
        with refusing_unfit():
            if int(self.index.size.sum()) > _MAX_WHOLE_BYTES:
                visitor.headers_at(self.content, self.index)
            else:
                packets = self._read_all()
                if any(packet.startswith(_START_CODE) for packet in packets):
                    raise UnfitTables("a sample begins with a start code")
                visitor.visit(packets)
        return self.index

    def _read_all(self) -> Sequence[bytes]:
        """All packets."""
        starts, sizes = self.index.position.tolist(), self.index.size.tolist()
        first = min(starts)
        span = int((self.index.position + self.index.size).max()) - first
        if span > _MAX_GAP * sum(sizes):
            return [self.content.read_at(start, size) for start, size in zip(starts, sizes, strict=True)]
        data = self.content.read_at(first, span)
        return [data[start - first : start - first + size] for start, size in zip(starts, sizes, strict=True)]


def _index(track: Mp4Track, properties: StreamProperties) -> PacketIndex:
    columns: dict[str, Any] = track.columns()
    pts = columns["pts"]
    return PacketIndex(
        stream=properties,
        **columns,
        corrupt=np.zeros(len(pts), bool),
        time_base=1 / track.time_scale,
        exact_seeks=len(np.unique(pts)) == len(pts),
    )


def _properties(source: Source, track: Mp4Track) -> StreamProperties:
    """Properties as libavformat reports them of a file opened for packets only."""
    if track.rate is None or track.duration is None:  # of movie fragments, libavformat reads some
        with open_video(source, packets_only=True) as (_, stream):
            return StreamProperties.of(stream, probed=False)
    frames, ticks = track.rate
    rate = Fraction(frames * track.time_scale, ticks)
    if max(rate.numerator, rate.denominator) > _MAX_TERM:
        raise UnfitTables("an unusual frame rate")
    width, height = track.picture_size
    return StreamProperties(
        codec=track.codec,
        profile=None,
        width=width,
        height=height,
        rate=rate,
        seconds=track.duration / track.time_scale,
        reorder_depth=0,
        probed=False,
    )
