"""Decoding parts of a stream to learn which pictures libavcodec outputs for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import av.error
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..source import Source, open_video
from .demux import read_packets
from .packets import NO_PACKET

__all__ = ["Segment", "SegmentOutput", "decode_packet", "decode_segments"]

_PICT_TYPES: Final = {1: "I", 2: "P", 3: "B", 4: "S"}
"""AVPictureType."""


class Segment(NamedTuple):
    """Packets to decode.

    Attributes:
        first: the packet to start at, 0 or an entry picture's.
        until: the packet of the entry picture to stop before, in presentation order; None for the end.
    """

    first: int
    until: int | None


@dataclass
class SegmentOutput:
    """Pictures that libavcodec outputs for a segment, in presentation order.

    The picture of the segment's first packet is included, that of `Segment.until` is not.

    Attributes:
        packet: packet number of each picture; NO_PACKET where the decoder created it.
        keyframe: the decoder's keyframe flag; False for damaged pictures.
        corrupt: whether the decoder reports damage.
        pict_types: "I", "P", "B", "S", or "?" for others.
        refused: (packet, reason) where the decoder refused a packet.
        complete: whether the pictures at both ends of the segment were output.
    """

    packet: list[int] = field(default_factory=list)
    keyframe: list[bool] = field(default_factory=list)
    corrupt: list[bool] = field(default_factory=list)
    pict_types: list[str] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    complete: bool = False

    def append(self, packet: int, frame: VideoFrame) -> None:
        """Add a picture."""
        self.packet.append(packet)
        self.keyframe.append(bool(frame.key_frame) and not frame.is_corrupt)
        self.corrupt.append(bool(frame.is_corrupt))
        self.pict_types.append(_PICT_TYPES.get(int(frame.pict_type), "?"))


def decode_packet(
    context: VideoCodecContext, packet: Packet[VideoStream] | None, number: int
) -> list[VideoFrame]:
    """Decode a packet with its number as time stamp, which the `pts` of its picture returns; None flushes.

    Raises:
        av.error.FFmpegError: the decoder refuses it.
    """
    if packet is not None:
        packet.pts = number
    return context.decode(packet)


def decode_segments(
    source: Source, segments: Sequence[Segment], *, decode_first_packet: bool = False
) -> list[SegmentOutput]:
    """Decode parts of a file on one thread; libavcodec reports damage only then.

    Args:
        source: the file.
        segments: ascending, without overlap.
        decode_first_packet: whether the decoder sees the first packet before it starts at a segment.
    """
    with open_video(source) as (container, stream):
        context = stream.codec_context
        context.thread_count, context.thread_type = 1, "NONE"
        context.options = {"skip_loop_filter": "all"}  # changes samples only
        packets = enumerate(read_packets(container, stream))
        return [_decode(context, packets, segment, decode_first_packet) for segment in segments]


def _decode(
    context: VideoCodecContext,
    packets: Iterator[tuple[int, Packet[VideoStream]]],
    segment: Segment,
    decode_first_packet: bool,
) -> SegmentOutput:
    output = SegmentOutput()
    started = segment.first == 0
    for number, packet in _packets_from(context, packets, segment.first, decode_first_packet):
        try:
            frames = decode_packet(context, packet, number)
        except av.error.FFmpegError as error:
            output.refused.append((number, str(error.strerror).lower()))
            continue
        for frame in frames:
            tag = NO_PACKET if frame.pts is None else int(frame.pts)
            if tag == segment.until:
                output.complete = started
                return output
            started |= tag == segment.first
            if started:
                output.append(tag, frame)
    output.complete = started and segment.until is None
    return output


def _packets_from(
    context: VideoCodecContext,
    packets: Iterator[tuple[int, Packet[VideoStream]]],
    first: int,
    decode_first_packet: bool,
) -> Iterator[tuple[int, Packet[VideoStream] | None]]:
    """Packets from number `first` on, for an empty decoder; None at the end, which flushes it."""
    number = -1
    for number, packet in packets:
        if number == 0 and first > 0 and decode_first_packet:
            _decode_parameter_sets(context, packet)
        if number == first:
            context.flush_buffers()
        if number >= first:
            yield number, packet
    yield number + 1, None


def _decode_parameter_sets(context: VideoCodecContext, packet: Packet[VideoStream]) -> None:
    """Decode the first packet, which alone may hold parameter sets and messages to the decoder."""
    try:
        decode_packet(context, packet, 0)
    except av.error.FFmpegError:
        return  # the segments report what can't be decoded
