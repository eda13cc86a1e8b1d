"""Reading chosen packets of a file that was scanned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from itertools import chain

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ...errors import MalformedStream
from ...pictures.packets import WORTH_A_SEEK, read_packets
from ...pictures.scan import StreamScan
from ...source import Source, open_video

__all__ = ["PacketReader"]


class PacketReader(AbstractContextManager["PacketReader"]):
    """Reads chosen packets, numbered in decoding order: from memory, from their places in the file,
    or by demuxing."""

    def __init__(self, source: Source, scan: StreamScan) -> None:
        self._source = source
        self._scan = scan
        self._opened = ExitStack()
        self._one: Callable[[int], bytes | None]
        if scan.kept is not None:
            self._one = scan.kept.__getitem__
        elif scan.packets.in_place:
            self._one = self._opened.enter_context(_InPlace(source, scan)).read
        else:
            self._one = self._opened.enter_context(_Demuxed(source, scan)).read

    def __exit__(self, *exc: object) -> None:
        self._opened.close()

    def read(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """The packets `numbers` (ascending).

        Raises:
            MalformedStream: the file is not the one that was scanned.
        """
        found: dict[int, bytes] = {}
        for number in numbers:
            data = self._one(number)
            if data is None or len(data) != self._scan.packets.size[number]:
                raise MalformedStream(
                    f"{self._source.name}: packet {number} is not the one that was indexed; "
                    "the file has changed, index it again"
                )
            found[number] = data
        return found


class _InPlace(AbstractContextManager["_InPlace"]):
    """Where packets lie in one piece, no demuxer is needed."""

    def __init__(self, source: Source, scan: StreamScan) -> None:
        self._packets = scan.packets
        self._same = source.stamp == scan.stamp
        self._end = source.size
        self._file = source.open_raw()

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def read(self, number: int) -> bytes | None:
        start, size = int(self._packets.position[number]), int(self._packets.size[number])
        if not self._same or not 0 <= size <= self._end - start:
            return None
        self._file.seek(start)
        return self._file.read(size)


class _Demuxed(AbstractContextManager["_Demuxed"]):
    """Reads on from packet to packet; seeks where the container's index leads to a packet."""

    def __init__(self, source: Source, scan: StreamScan) -> None:
        self._source = source
        self._index = scan.packets
        self._opened: AbstractContextManager[tuple[InputContainer, VideoStream]] | None = None
        self._packets: Iterator[tuple[int, Packet[VideoStream]]] = iter(())
        self._number = -1  # of the packet read last

    def __exit__(self, *exc: object) -> None:
        if self._opened is not None:
            self._opened.__exit__(None, None, None)

    def read(self, number: int) -> bytes | None:
        self._approach(number)
        for position, packet in self._packets:
            self._number = position
            if position == number:
                return bytes(packet)
        return None

    def _approach(self, number: int) -> None:
        """Position the reader before packet `number`: go on, seek to the keyframe before it, or start again."""
        if self._opened is None or self._number >= number:
            self._reopen()
        past = int(self._index.size[self._number + 1 : number].sum())
        if past <= WORTH_A_SEEK:
            return
        keys = np.nonzero(self._index.keyframe[: number + 1])[0]
        if not len(keys) or keys[-1] <= self._number + 1:
            return
        if self._index.seek(self._container, self._stream, int(keys[-1])):
            packets = read_packets(self._container, self._stream)
            head = next(packets, None)
            first = None if head is None else self._index.locate(head)
            if head is not None and first is not None and first <= number:
                self._packets = enumerate(chain((head,), packets), first)
                return
            self._reopen()

    def _reopen(self) -> None:
        if self._opened is not None:
            self._opened.__exit__(None, None, None)
        self._opened = open_video(self._source, packets_only=True)
        self._container, self._stream = self._opened.__enter__()
        self._number = -1
        self._packets = enumerate(read_packets(self._container, self._stream))
