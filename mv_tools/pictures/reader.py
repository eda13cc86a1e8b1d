"""Decoding chosen pictures of a numbered stream, starting at the entry pictures before them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, NamedTuple, cast

import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..source import Source, open_video
from .demux import PacketCursor
from .index import PictureIndex
from .packets import SEEK_THRESHOLD_BYTES, PacketIndex
from .segments import decode_packet

__all__ = ["DecodedPicture", "PictureReader", "Stretch", "stretches"]

_SKIP_PER_PACKET: Final = frozenset(("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"))
"""Decoders that read skip_frame at each packet; others take it when they are opened, if at all."""

_REPEATED: Final = -2  # number of a packet that is decoded again

_MIN_JUMP_PACKETS: Final = 12  # a shorter way is decoded: flushing the decoder costs more


class DecodedPicture(NamedTuple):
    """A picture and its number.

    Attributes:
        position: number in presentation order.
        frame: as decoded.
        coded: (width, height) as coded, without cropping; (0, 0) where the decoder does not report it.
    """

    position: int
    frame: VideoFrame
    coded: tuple[int, int]


class Stretch(NamedTuple):
    """Pictures that are decoded in one go.

    Attributes:
        entry: the entry picture to start at, -1 for the first packet.
        positions: the requested pictures, ascending.
    """

    entry: int
    positions: list[int]


@dataclass(frozen=True, kw_only=True)
class PictureReader:
    """Decodes chosen pictures of a file on one thread; libavcodec reports damage only then.

    Attributes:
        source: the file.
        packets: its packets.
        pictures: their numbering.
        options: decoder options.
        every: return all pictures on the way as well, up to the last one that comes before the last requested
            one in decoding order; none is skipped.
        repeat_entry: decode the packet of the last entry picture again at the end of the file. libavcodec
            exports no vectors with pictures that it gives out only when it is flushed.
    """

    source: Source
    packets: PacketIndex
    pictures: PictureIndex
    options: Mapping[str, str] = field(default_factory=dict)
    every: bool = False
    repeat_entry: bool = False

    def read(self, positions: Sequence[int]) -> Iterator[DecodedPicture]:
        """Decode pictures.

        Pictures that can't be decoded from an entry picture are decoded from the first packet; those still
        missing then are not output by the decoder and left out.

        Args:
            positions: presentation indices, ascending and distinct.

        Yields:
            The requested pictures in ascending order (and those between, with `every`), damaged ones too.
        """
        with open_video(self.source) as (container, stream):
            decoder = _StretchDecoder(self, container, stream)
            for stretch in stretches(self.pictures, positions):
                missing = yield from decoder.decode(stretch)
                if missing:
                    with open_video(self.source) as (reopened, same_stream):
                        sequential = _StretchDecoder(self, reopened, same_stream)
                        yield from sequential.decode(Stretch(-1, missing), may_skip=False)


def stretches(pictures: PictureIndex, positions: Sequence[int]) -> list[Stretch]:
    """Split ascending presentation indices into stretches; those only a few packets apart are joined."""
    result: list[Stretch] = []
    reached = -1  # the furthest packet of the last stretch
    for position in positions:
        entry = int(pictures.entry_of[position])
        near = pictures.sequential or pictures.first_packet(entry) <= reached + _MIN_JUMP_PACKETS
        if result and near and (entry >= 0 or result[-1].entry < 0):
            result[-1].positions.append(position)
        else:
            result.append(Stretch(entry, [position]))
        reached = max(reached, int(pictures.packet[position]))
    return result


class _StretchDecoder:
    """Decodes stretches from one opened file, from front to back."""

    def __init__(self, reader: PictureReader, container: InputContainer, stream: VideoStream) -> None:
        self._packets = reader.packets
        self._pictures = reader.pictures
        self._every = reader.every
        entries = reader.pictures.packet[reader.pictures.entry] if reader.repeat_entry else ()
        self._entries = {0, *map(int, entries)} if reader.repeat_entry else set()
        self._context = stream.codec_context
        self._context.thread_count, self._context.thread_type = 1, "NONE"
        if reader.options:
            self._context.options = dict(reader.options)
        self._cursor = PacketCursor(reader.packets, container, stream)
        self._unused = True  # nothing was decoded yet
        self._repeated: bytes | None = None  # the packet to decode again

    def decode(
        self, stretch: Stretch, *, may_skip: bool = True
    ) -> Generator[DecodedPicture, None, list[int]]:
        """Decode from the entry picture until all requested ones are output; returns those that are missing.

        Args:
            stretch: the pictures.
            may_skip: whether pictures that no other refers to may be left undecoded.
        """
        entry, positions = stretch
        first = self._pictures.first_packet(entry)
        if not self._move_to(first):
            return positions
        skip = may_skip and self._can_skip(entry)
        frames = self._frames(first, set(positions), skip, tolerant=entry < 0 and not skip)
        upcoming, missing = deque(positions), deque(positions)  # not output yet; not returned yet
        final_after = self._pictures.final_after
        end = int(final_after[positions[-1]])
        held: deque[DecodedPicture] = deque()
        expected = max(entry, 0)
        for position, frame in frames:
            if position is not None and position < expected == entry:
                continue  # a leading picture of the entry picture, whose references are missing
            if position is None or not self._is_expected(position, frame, expected, entry, skip):
                break
            if upcoming and position > upcoming[0]:
                break  # the decoder did not output the picture
            expected = position + 1
            requested = bool(upcoming) and position == upcoming[0]
            if requested:
                upcoming.popleft()
            if requested or self._every:
                held.append(DecodedPicture(position, frame, self._coded_size(frame)))
            while held and final_after[held[0].position] <= position:
                yield _returned(held.popleft(), missing)
            if position >= end:
                break
        else:  # the decoder is empty: no more damage can be reported
            for picture in held:
                yield _returned(picture, missing)
        return list(missing)

    def _can_skip(self, entry: int) -> bool:
        """Whether pictures that no other refers to can be left undecoded without changing others."""
        pictures = self._pictures
        hides_damage = entry < 0 and len(pictures.damaged_packets) > 0
        return not (self._every or hides_damage or pictures.sequential or pictures.packed) and (
            self._context.name in _SKIP_PER_PACKET
        )

    def _is_expected(self, position: int, frame: VideoFrame, expected: int, entry: int, skip: bool) -> bool:
        """Whether a picture is the next one of the index, and damage does not make it depend on where
        decoding began."""
        if frame.is_corrupt and (entry >= 0 or skip):
            return False  # what hides damage depends on all that was decoded before
        if entry >= 0 and expected == entry and not (position == entry and frame.key_frame):
            return False
        return position == expected or (skip and position > expected)

    def _coded_size(self, frame: VideoFrame) -> tuple[int, int]:
        context = self._context
        same = (context.width, context.height) == (frame.width, frame.height)
        return (context.coded_width, context.coded_height) if same else (0, 0)

    def _frames(
        self, first: int, positions: set[int], skip: bool, tolerant: bool
    ) -> Iterator[tuple[int | None, VideoFrame]]:
        """Pictures in the order of their output, with their presentation indices.

        Args:
            first: the packet to start at.
            positions: pictures that are not skipped.
            skip: leave pictures undecoded that no other refers to.
            tolerant: continue where the decoder refuses a packet, whose picture is then missing.

        Yields:
            (presentation index, None where the index does not have the picture; picture).
        """
        pictures, count = self._pictures, 0
        for number, packet in chain(self._packets_from(first), self._closing()):
            position = pictures.position_of.get(number)
            if skip and position is not None:  # a second field is treated as the first
                required = position in positions or number == first
                self._context.skip_frame = "DEFAULT" if required else "NONREF"
            try:
                frames = decode_packet(self._context, packet, number)
            except av.error.FFmpegError:
                if tolerant:
                    continue
                return
            for frame in frames:
                if frame.pts == _REPEATED:
                    continue
                if pictures.sequential:
                    yield count, frame
                elif frame.pts is not None:
                    yield pictures.position_of.get(int(frame.pts)), frame
                count += 1

    def _packets_from(self, first: int) -> Iterator[tuple[int, Packet[VideoStream]]]:
        """Packets from number `first` on, until one differs from the index."""
        for number, packet in self._cursor:
            if number < len(self._packets) and packet.size != self._packets.size[number]:
                return
            if number < first:
                continue
            if number in self._entries:
                self._repeated = bytes(packet)
            yield number, packet

    def _closing(self) -> Iterator[tuple[int, Packet[VideoStream] | None]]:
        """What the decoder takes behind the last packet."""
        if self._repeated is not None:
            yield _REPEATED, cast("Packet[VideoStream]", Packet(self._repeated))
        yield len(self._packets), None

    def _move_to(self, first: int) -> bool:
        """Move before packet `first` with an empty decoder, which has decoded the first packet if it must."""
        cursor = self._cursor
        needs_first = self._unused and first > 0 and self._pictures.needs_first_packet
        if needs_first and not self._decode_first_packet():
            return False
        if not self._unused:
            self._context.flush_buffers()
            self._context.skip_frame = "DEFAULT"
        self._unused = False
        if cursor.last >= first or cursor.bytes_before(first) > SEEK_THRESHOLD_BYTES:
            return cursor.seek(first) or cursor.last < first
        return True

    def _decode_first_packet(self) -> bool:
        """Decode the first packet; returns whether it is undamaged."""
        self._unused = False
        number, packet = next(iter(self._cursor), (0, None))
        if packet is None or number in self._pictures.damaged_packets:
            return False
        try:
            frames = decode_packet(self._context, packet, number)
        except av.error.FFmpegError:
            return False
        return not any(frame.is_corrupt for frame in frames)


def _returned(picture: DecodedPicture, missing: deque[int]) -> DecodedPicture:
    """Remove a picture that is returned from the missing ones."""
    if missing and missing[0] == picture.position:
        missing.popleft()
    return picture
