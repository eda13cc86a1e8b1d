"""Reading the packets of a scanned file, all of them or chosen ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from itertools import islice
from typing import Final

import numpy as np

from ...errors import MalformedStream
from ...pictures.demux import PacketCursor, read_packets
from ...pictures.packets import SEEK_THRESHOLD_BYTES
from ...pictures.scan import StreamScan
from ...source import Source, open_video

__all__ = ["PacketReader", "packet_groups"]

_GROUP: Final = 4  # packets that go to the parser's threads at once


def packet_groups(source: Source, scan: StreamScan, threads: int) -> Iterator[list[bytes]]:
    """All packets in decoding order, in groups for a parser with so many threads."""
    # Small groups: the arrays of a picture are used while they are in the CPU's caches.
    size = 1 if threads == 1 else _GROUP
    if scan.cached is not None:
        yield from (scan.cached[i : i + size] for i in range(0, len(scan.cached), size))
        return
    with open_video(source, packets_only=True) as (container, stream):
        packets = read_packets(container, stream)
        while group := [bytes(packet) for packet in islice(packets, size)]:
            yield group


class PacketReader(AbstractContextManager["PacketReader"]):
    """Reads chosen packets by their decoding order: from memory, at offsets in the file, or by demuxing."""

    def __init__(self, source: Source, scan: StreamScan) -> None:
        self._source = source
        self._scan = scan
        self._opened = ExitStack()
        self._read_one: Callable[[int], bytes | None]
        if scan.cached is not None:
            self._read_one = scan.cached.__getitem__
        elif scan.packets.contiguous:
            self._read_one = self._opened.enter_context(_OffsetReader(source, scan)).read
        else:
            self._read_one = self._opened.enter_context(_DemuxReader(source, scan)).read

    def __exit__(self, *exc: object) -> None:
        self._opened.close()

    def read(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Read packets.

        Args:
            numbers: ascending.

        Raises:
            MalformedStream: the file is not the one that was scanned.
        """
        packets: dict[int, bytes] = {}
        for number in numbers:
            data = self._read_one(number)
            if data is None or len(data) != self._scan.packets.size[number]:
                raise MalformedStream(
                    f"{self._source.name}: packet {number} is not the one that was indexed; "
                    "the file has changed, index it again"
                )
            packets[number] = data
        return packets


class _OffsetReader(AbstractContextManager["_OffsetReader"]):
    """Reads packets that lie in one piece at their offsets in the file."""

    def __init__(self, source: Source, scan: StreamScan) -> None:
        self._packets = scan.packets
        self._unchanged = source.stamp == scan.stamp
        self._end = source.size
        self._file = source.open_raw()

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def read(self, number: int) -> bytes | None:
        start, size = int(self._packets.position[number]), int(self._packets.size[number])
        if not self._unchanged or not 0 <= size <= self._end - start:
            return None
        self._file.seek(start)
        return self._file.read(size)


class _DemuxReader(AbstractContextManager["_DemuxReader"]):
    """Reads packets by demuxing forward; seeks where the container's index leads to a packet."""

    def __init__(self, source: Source, scan: StreamScan) -> None:
        self._source = source
        self._packets = scan.packets
        self._opened = ExitStack()
        self._cursor = self._open()

    def __exit__(self, *exc: object) -> None:
        self._opened.close()

    def read(self, number: int) -> bytes | None:
        self._move_to(number)
        for position, packet in self._cursor:
            if position == number:
                return bytes(packet)
        return None

    def _move_to(self, number: int) -> None:
        """Move before packet `number`: read on, seek to the keyframe before it, or start again."""
        if self._cursor.last >= number:
            self._cursor = self._open()
        if self._cursor.bytes_before(number) <= SEEK_THRESHOLD_BYTES:
            return
        keyframes = np.flatnonzero(self._packets.keyframe[: number + 1])
        if not len(keyframes) or keyframes[-1] <= self._cursor.last + 1:
            return
        if not self._cursor.seek(int(keyframes[-1])) and self._cursor.last >= number:
            self._cursor = self._open()

    def _open(self) -> PacketCursor:
        self._opened.close()
        container, stream = self._opened.enter_context(open_video(self._source, packets_only=True))
        return PacketCursor(self._packets, container, stream)
