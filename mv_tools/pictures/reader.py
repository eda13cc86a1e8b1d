"""Decoding chosen pictures of a numbered stream, starting at the entry pictures before them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final, NamedTuple

import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..source import Source, open_video
from .index import PictureIndex
from .packets import WORTH_A_SEEK, PacketIndex, read_packets
from .segments import decode_packet

__all__ = ["DecodedPicture", "PictureReader", "stretches"]

_SKIP_PER_PACKET: Final = frozenset(("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"))
"""Decoders that read skip_frame at each packet; others take it when they are opened, if at all."""

_WORTH_A_JUMP: Final = 12  # packets: emptying the decoder against decoding so many pictures


class DecodedPicture(NamedTuple):
    """A picture and its number.

    Attributes:
        position: number in presentation order.
        frame: as decoded.
        coded: (width, height) as coded, without cropping; (0, 0) where the decoder does not say.
    """

    position: int
    frame: VideoFrame
    coded: tuple[int, int]


class PictureReader:
    """Decodes chosen pictures of a file on one thread, which alone reports damage.

    Args:
        source: the file.
        packets: its packets.
        pictures: their numbering.
        options: of the decoder.
        every: give all pictures on the way as well, up to the last one that comes before the last wanted
            one in decoding order; none is skipped.
    """

    def __init__(
        self,
        source: Source,
        packets: PacketIndex,
        pictures: PictureIndex,
        *,
        options: Mapping[str, str] | None = None,
        every: bool = False,
    ) -> None:
        self._source = source
        self._packets = packets
        self._pictures = pictures
        self._options = dict(options or {})
        self._every = every

    def read(self, wanted: Sequence[int]) -> Iterator[DecodedPicture]:
        """Decode pictures.

        What can't be decoded from an entry picture is decoded from the first packet; what is missing
        then was not put out by the decoder and is left out.

        Args:
            wanted: presentation indices, ascending and distinct.

        Yields:
            The wanted pictures in ascending order (and those between, with `every`), damaged ones too.
        """
        with open_video(self._source) as (container, stream):
            run = _Run(self._source, self._packets, self._pictures, container, stream, self._options)
            for entry, group in stretches(self._pictures, wanted):
                missing = yield from run.decode(entry, group, every=self._every)
                if missing:
                    with open_video(self._source) as (again, same):
                        start = _Run(self._source, self._packets, self._pictures, again, same, self._options)
                        yield from start.decode(-1, missing, every=self._every, skip=False)


def stretches(pictures: PictureIndex, wanted: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Split ascending presentation indices into stretches to decode.

    Returns:
        (entry picture, -1 for the first packet; indices) of each stretch; those with fewer packets
        between them than a jump is worth are joined.
    """
    runs: list[tuple[int, list[int]]] = []
    reached = -1  # the furthest packet of the last stretch
    for i in wanted:
        entry = int(pictures.entry_of[i])
        near = pictures.sequential or pictures.first_packet(entry) <= reached + _WORTH_A_JUMP
        if runs and near and (entry >= 0 or runs[-1][0] < 0):
            runs[-1][1].append(i)
        else:
            runs.append((entry, [i]))
        reached = max(reached, int(pictures.packet[i]))
    return runs


class _Run:
    """One opened file: its packets are numbered while they are read, from front to back."""

    def __init__(
        self,
        source: Source,
        packets: PacketIndex,
        pictures: PictureIndex,
        container: InputContainer,
        stream: VideoStream,
        options: dict[str, str],
    ) -> None:
        self._source = source
        self._packets = packets
        self._pictures = pictures
        self._container = container
        self._stream = stream
        self._context = stream.codec_context
        self._context.thread_count, self._context.thread_type = 1, "NONE"
        if options:
            self._context.options = options
        self._reader = self._from_start()
        self._number = -1  # of the packet read last
        self._fresh = True  # nothing was decoded yet

    def decode(
        self, entry: int, wanted: list[int], *, every: bool, skip: bool = True
    ) -> Generator[DecodedPicture, None, list[int]]:
        """Decode from an entry picture until all wanted ones are given; returns those that are missing."""
        first = self._pictures.first_packet(entry)
        if not self._approach(first):
            return wanted
        skip = (
            skip
            and not every
            and not (entry < 0 and len(self._pictures.doubts))
            and self._context.name in _SKIP_PER_PACKET
            and not self._pictures.sequential
        )
        settled, end = self._pictures.settled, int(self._pictures.settled[wanted[-1]])
        expected = max(entry, 0)
        seen = given = 0  # of the wanted ones
        held: deque[DecodedPicture] = deque()
        for index, frame in self._numbered(first, set(wanted), skip, exact=entry < 0 and not skip):
            if index is not None and index < expected == entry:
                continue  # it leads the entry picture, whose references are missing
            if index is None or not self._fits(index, frame, expected, entry, skip):
                break
            if seen < len(wanted) and index > wanted[seen]:
                break
            expected = index + 1
            asked = seen < len(wanted) and index == wanted[seen]
            seen += asked
            if asked or every:
                held.append(DecodedPicture(index, frame, self._coded(frame)))
            while held and settled[held[0].position] <= index:
                given += given < len(wanted) and held[0].position == wanted[given]
                yield held.popleft()
            if index >= end:
                return wanted[given:]
        else:  # the decoder is empty: nothing can turn out to be damaged any more
            for picture in held:
                given += given < len(wanted) and picture.position == wanted[given]
                yield picture
        return wanted[given:]

    def _fits(self, index: int, frame: VideoFrame, expected: int, entry: int, skip: bool) -> bool:
        """Whether a picture is what the index says, and no damage makes it depend on where decoding began."""
        if frame.is_corrupt and (entry >= 0 or skip):
            return False  # what hides damage depends on all that was decoded before
        if entry >= 0 and expected == entry and not (index == entry and frame.key_frame):
            return False
        return index == expected or (skip and index > expected)

    def _coded(self, frame: VideoFrame) -> tuple[int, int]:
        context = self._context
        same = (context.width, context.height) == (frame.width, frame.height)
        return (context.coded_width, context.coded_height) if same else (0, 0)

    def _numbered(
        self, first: int, wanted: set[int], skip: bool, exact: bool
    ) -> Iterator[tuple[int | None, VideoFrame]]:
        """Presentation index and picture, as they are put out from packet `first` on; None where the
        decoder gives a picture that is not in the index."""
        pictures, count = self._pictures, 0
        for number, packet in chain(self._forward(first), ((len(self._packets), None),)):
            index = pictures.position_of.get(number)
            if skip and index is not None:  # a second field shares the fate of the first
                needed = index in wanted or number == first
                self._context.skip_frame = "DEFAULT" if needed else "NONREF"
            try:
                frames = decode_packet(self._context, packet, number)
            except av.error.FFmpegError:
                if exact:
                    continue  # its picture is missing among those put out
                return
            for frame in frames:
                if pictures.sequential:
                    yield count, frame
                elif frame.pts is not None:
                    yield pictures.position_of.get(int(frame.pts)), frame
                count += 1

    def _forward(self, first: int) -> Iterator[tuple[int, Packet[VideoStream]]]:
        """The packets from `first` on with their numbers, until one is not what the index says."""
        for number, packet in self._reader:
            self._number = number
            if number < len(self._packets) and packet.size != self._packets.size[number]:
                return
            if number >= first:
                yield number, packet

    def _approach(self, first: int) -> bool:
        """Be before packet `first` with an empty decoder, which has seen the head of the stream if need be."""
        if self._fresh and first > 0 and self._pictures.head and not self._decode_head():
            return False
        if not self._fresh:
            self._context.flush_buffers()
            self._context.skip_frame = "DEFAULT"
        self._fresh = False
        past = int(self._packets.size[self._number + 1 : first].sum())
        if self._number >= first or past > WORTH_A_SEEK:
            return self._seek(first) or self._number < first
        return True

    def _decode_head(self) -> bool:
        """Decode the first packet; returns whether it is whole."""
        self._fresh = False
        number, packet = next(self._reader, (0, None))
        self._number = number
        if packet is None or number in self._pictures.doubts:
            return False
        try:
            frames = decode_packet(self._context, packet, number)
        except av.error.FFmpegError:
            return False
        return not any(frame.is_corrupt for frame in frames)

    def _seek(self, first: int) -> bool:
        if not self._packets.seek(self._container, self._stream, first):
            return False
        packets = read_packets(self._container, self._stream)
        head = next(packets, None)
        number = None if head is None else self._packets.locate(head)
        if head is None or number is None or number > first:
            self._reader, self._number = iter(()), len(self._packets)
            return False
        self._reader, self._number = enumerate(chain((head,), packets), number), number - 1
        return True

    def _from_start(self) -> Iterator[tuple[int, Packet[VideoStream]]]:
        return enumerate(read_packets(self._container, self._stream))
