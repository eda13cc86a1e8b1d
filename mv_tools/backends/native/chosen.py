"""Pictures of a long MP4 file, numbered by its sample tables: headers are read where pictures are wanted.

The tables give times, positions and sync samples of all pictures. Of the stream itself, the headers from the
IDR picture before a wanted picture up to it are read, which is all that parsing it needs. They have to agree
with the tables; otherwise the whole file is scanned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ...errors import MalformedStream
from ...pictures.header_numbering import reorder_depth
from ...pictures.native_headers import Framing
from ...pictures.scan import StreamScan
from ...pictures.tables import TabledPackets, UnfitTables, refusing_unfit
from ...pictures.times import picture_times
from ...source import Source
from .frames import FrameBuilder

if TYPE_CHECKING:
    from ..._native import StreamIndex

__all__ = ["ChosenPictures"]

_MIN_PACKETS: Final = 512  # shorter files are scanned as a whole: it takes about a millisecond
_FIRST: Final = 32  # packets whose headers are read to learn about the stream


@dataclass
class ChosenPictures:
    """Pictures numbered by sample tables.

    Attributes:
        source: the file.
        scan: its packets, and the headers that were read.
        packet: int64 [N], the packet of each picture in presentation order.
        lock: held while headers are read or pictures parsed.
        used: whether pictures were read, so that their numbers have to stay.
    """

    source: Source
    scan: StreamScan
    tables: TabledPackets
    packet: npt.NDArray[np.int64]
    lock: Lock = field(default_factory=Lock)
    used: bool = False
    unreadable: dict[int, str] = field(default_factory=dict)
    _position_of: dict[int, int] = field(default_factory=dict)  # position in the headers by packet
    _begin: int = 0  # the packets whose headers were read last, without a gap
    _end: int = 0
    _interval: int = 0
    _sizes: set[tuple[int, int]] = field(default_factory=set)

    @classmethod
    def open(cls, source: Source, tables: TabledPackets) -> ChosenPictures:
        """Read the first headers of a file whose tables were read.

        Raises:
            UnfitTables: the tables or headers leave a doubt about the numbering, or the file is short.
        """
        stamp, packets = tables.stamp, tables.index
        if len(packets) < _MIN_PACKETS:
            raise UnfitTables("a short file")
        if not packets.exact_seeks or not packets.keyframe[0]:
            raise UnfitTables("the tables do not determine the numbering")
        headers, framing = _empty_headers(tables)
        shown = np.flatnonzero(packets.displayed)
        chosen = cls(
            source,
            StreamScan(
                packets=packets, headers=headers, framing=framing, stamp=stamp, display=tables.display
            ),
            tables,
            shown[np.argsort(packets.pts[shown])],
        )
        chosen._read(0, _FIRST)
        chosen._interval = headers.poc_interval()
        reorder = headers.num_reorder_frames
        fields = not headers.frame_mbs_only or headers.infos()[0].field_seq
        if fields or reorder is None or reorder_depth(chosen.packet) > reorder:
            raise UnfitTables("the parameter sets leave a doubt about the numbering")
        return chosen

    def __len__(self) -> int:
        return len(self.packet)

    def positions(self, indices: Sequence[int]) -> list[int]:
        """Positions of presented pictures in the headers, which :meth:`read_headers` has read."""
        return [self._position_of[packet] for packet in self.packet[list(indices)].tolist()]

    @cached_property
    def builder(self) -> FrameBuilder:
        """Makes motion frames."""
        seconds, _ = picture_times(self.packet, self.scan.packets)
        rank = np.empty(len(self), np.int64)
        rank[np.argsort(self.packet)] = np.arange(len(self))
        with self.lock:  # another thread may read further headers
            display = self.tables.display.with_aspect(self._headers.sar)
        return FrameBuilder(rank, np.arange(len(self)), seconds, self._interval, display)

    def read_headers(self, indices: Sequence[int]) -> None:
        """Read the headers that parsing of pictures needs.

        Raises:
            MalformedStream: the file has changed.
            UnfitTables: the headers contradict the tables; or so many were read that a scan is cheaper.
        """
        if self.source.stamp != self.scan.stamp:
            raise MalformedStream(f"{self.source.name}: the file has changed, open it again")
        with self.lock:
            for packet in sorted(self.packet[list(indices)].tolist()):
                if packet not in self._position_of:
                    start = int(self._sync[np.searchsorted(self._sync, packet, "right") - 1])
                    continues = self._begin <= start and packet >= self._end > start
                    self._read(self._end if continues else start, packet + 1)
            if self._headers.poc_interval() != self._interval:
                raise UnfitTables("distances between pictures vary")
            self.used = True

    @property
    def _headers(self) -> StreamIndex:
        assert self.scan.headers is not None
        return self.scan.headers

    @cached_property
    def _sync(self) -> npt.NDArray[np.int64]:
        """Packets that the table of sync samples names."""
        return np.flatnonzero(self.scan.packets.keyframe)

    @cached_property
    def _separate(self) -> npt.NDArray[np.bool_]:
        """Whether all packets before a packet are presented before all from it on, bool [N]."""
        pts = self.scan.packets.pts
        before = np.maximum.accumulate(pts)
        behind = np.minimum.accumulate(pts[::-1])[::-1]
        return np.concatenate([[True], before[:-1] < behind[1:]])

    def _read(self, first: int, until: int) -> None:
        """Read the headers of packets `first` to `until` - 1 and compare them with the tables."""
        headers, packets = self._headers, self.scan.packets
        count, until = len(headers), min(until, len(packets))
        if count + until - first > len(packets) + _FIRST:
            raise UnfitTables("most headers would be read")
        part = slice(first, until)
        with refusing_unfit():
            new_sets = headers.push_starts(
                self.tables.content, packets.position[part], packets.size[part], first
            )
        if new_sets or headers.errors() or len(headers) != count + until - first:
            raise UnfitTables("packets do not hold one picture each")
        self._position_of.update(zip(range(first, until), range(count, len(headers)), strict=True))
        if first != self._end or first == 0:
            self._begin = first
        self._end = until
        begin = self._position_of[self._begin]
        columns = headers.columns(begin)
        same = begin > 0 and headers.columns(begin - 1)["period"][0] == columns["period"][0]
        self._check(columns, restarts=not same)

    def _check(self, columns: dict[str, npt.NDArray[Any]], restarts: bool) -> None:
        """Compare the headers of packets `_begin` to `_end` - 1 with the tables.

        Args:
            columns: the headers.
            restarts: whether the first of them starts a coded video sequence. The PicOrderCnt of a CRA
                picture (HEVC) and of what follows it depends on pictures before it.

        Raises:
            UnfitTables: they differ, or leave a doubt about the numbering.
        """
        packets, expected = self.scan.packets, np.arange(self._begin, self._end)
        if not np.array_equal(columns["sample"], expected):
            raise UnfitTables("packets do not hold one picture each")
        doubtful = columns["gap"] | columns["no_output_of_prior_pics"]
        plain = columns["is_frame"] & columns["output"] & ~doubtful
        starts_anew = restarts and columns["idr"][0] and self._separate[self._begin]
        if not plain.all() or not starts_anew:
            raise UnfitTables("pictures refer to others than the tables say")
        sizes = set(zip(columns["coded_width"].tolist(), columns["coded_height"].tolist(), strict=True))
        self._sizes |= sizes
        if len(self._sizes) > 1:
            raise UnfitTables("the picture size changes")
        shown = packets.displayed[expected]
        order = np.lexsort((columns["order_poc"][shown], columns["period"][shown]))
        if (np.diff(packets.pts[expected][shown][order]) <= 0).any():
            raise UnfitTables("times contradict the order of the pictures")


def _empty_headers(tables: TabledPackets) -> tuple[StreamIndex, Framing]:
    from ..._native import NativeError, StreamIndex

    framing: Framing = {"codec": tables.codec, "length_size": 0, "extradata": tables.extradata}
    try:
        headers = StreamIndex(**framing)
    except NativeError as error:
        raise UnfitTables(str(error)) from error
    framing["length_size"] = headers.length_size
    return headers, framing
