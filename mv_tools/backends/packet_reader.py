"""Reading chosen packets of a file that was scanned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from itertools import chain

import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ..errors import MalformedStream
from ..source import Source, open_video
from .native_index import StreamScan

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
            MalformedStream: one is cut short, or the file is not the one that was scanned.
        """
        found: dict[int, bytes] = {}
        for number in numbers:
            data = self._one(number)
            if number == self._scan.corrupt:
                raise MalformedStream(
                    f"{self._source.name}: the file is cut short inside picture {number} (decoding order)"
                )
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
    """Seeks where the file has timestamps, else reads from its start."""

    def __init__(self, source: Source, scan: StreamScan) -> None:
        self._source = source
        self._index = scan.packets
        self._opened: AbstractContextManager[tuple[InputContainer, VideoStream]] | None = None
        self._packets: Iterator[tuple[int, Packet[VideoStream]]] = iter(())
        self._number = -1  # of the packet read last
        order = np.argsort(scan.packets.pts, kind="stable")
        self._by_time = scan.packets.pts[order], order

    def __exit__(self, *exc: object) -> None:
        if self._opened is not None:
            self._opened.__exit__(None, None, None)

    def read(self, number: int) -> bytes | None:
        self._approach(number)
        for found, packet in self._packets:
            self._number = found
            if found == number:
                return bytes(packet)
            if found > number:
                break
        return None

    def _approach(self, number: int) -> None:
        """Be before packet `number`: go on, seek to the keyframe before it, or start again."""
        index = self._index
        keys = np.nonzero(index.keyframe[: number + 1])[0]
        key = int(keys[-1]) if len(keys) else 0
        if self._opened is not None and self._number < number and key <= self._number + 1:
            return
        if self._opened is None:
            self._reopen()
        if index.timestamps and key > 0:
            try:
                self._container.seek(int(index.pts[key]), stream=self._stream)
            except av.error.FFmpegError:
                self._reopen()
                return
            self._packets = self._numbered()
            first = next(self._packets, None)
            if first is not None and first[0] <= number:
                self._number = first[0] - 1
                self._packets = chain((first,), self._packets)
                return
        if self._number >= number or index.timestamps:
            self._reopen()

    def _reopen(self) -> None:
        if self._opened is not None:
            self._opened.__exit__(None, None, None)
        self._opened = open_video(self._source, packets_only=True)
        self._container, self._stream = self._opened.__enter__()
        self._number, self._packets = -1, self._from_start()

    def _from_start(self) -> Iterator[tuple[int, Packet[VideoStream]]]:
        whole = (packet for packet in self._container.demux(self._stream) if packet.size)
        yield from enumerate(whole)

    def _numbered(self) -> Iterator[tuple[int, Packet[VideoStream]]]:
        """Packets after a seek, told apart by their times."""
        times, order = self._by_time
        for packet in self._container.demux(self._stream):
            if not packet.size:
                continue
            at = int(np.searchsorted(times, packet.pts)) if packet.pts is not None else len(times)
            if at < len(times) and times[at] == packet.pts:
                yield int(order[at]), packet
