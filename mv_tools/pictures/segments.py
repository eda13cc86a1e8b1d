"""What libavcodec puts out: the packets of its pictures, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import av.error
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..source import Source, open_video
from .index import NO_TAG
from .packets import read_packets

__all__ = ["Outputs", "Segment", "decode_packet", "decode_segments"]


class Segment(NamedTuple):
    """Packets to decode.

    Attributes:
        first: the packet to start at, 0 or an entry picture's.
        until: the packet of the entry picture to stop before, in presentation order; None for the end.
    """

    first: int
    until: int | None


@dataclass
class Outputs:
    """Pictures put out of a segment, from that of its first packet to before that of its last.

    Attributes:
        tags: number of the packet of each picture; NO_TAG where the decoder made it up.
        keys: the decoder's own keyframe flag; False for damaged pictures.
        corrupt: whether the decoder reports damage.
        refused: (packet, reason) where the decoder refused a packet.
        complete: whether both ends of the segment were put out.
    """

    tags: list[int] = field(default_factory=list)
    keys: list[bool] = field(default_factory=list)
    corrupt: list[bool] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    complete: bool = False

    def append(self, tag: int, frame: VideoFrame) -> None:
        """Add a picture."""
        self.tags.append(tag)
        self.keys.append(bool(frame.key_frame) and not frame.is_corrupt)
        self.corrupt.append(bool(frame.is_corrupt))


def decode_packet(
    context: VideoCodecContext, packet: Packet[VideoStream] | None, number: int
) -> list[VideoFrame]:
    """Decode a packet under its number, which comes back as `pts` of its picture; None flushes.

    Raises:
        av.error.FFmpegError: the decoder refuses it.
    """
    if packet is not None:
        packet.pts = number
    return context.decode(packet)


def decode_segments(source: Source, segments: Sequence[Segment], *, head: bool = False) -> list[Outputs]:
    """Decode stretches of a file on one thread, which alone reports damage.

    Args:
        source: the file.
        segments: ascending, without overlap.
        head: whether the decoder sees the first packet before it starts at a segment.
    """
    with open_video(source) as (container, stream):
        context = stream.codec_context
        context.thread_count, context.thread_type = 1, "NONE"
        context.options = {"skip_loop_filter": "all"}  # changes samples only
        packets = enumerate(read_packets(container, stream))
        return [_decode(context, packets, segment, head) for segment in segments]


def _decode(
    context: VideoCodecContext,
    packets: Iterator[tuple[int, Packet[VideoStream]]],
    segment: Segment,
    head: bool,
) -> Outputs:
    outputs = Outputs()
    started = segment.first == 0
    for number, packet in _from(context, packets, segment.first, head):
        try:
            frames = decode_packet(context, packet, number)
        except av.error.FFmpegError as error:
            outputs.refused.append((number, str(error.strerror).lower()))
            continue
        for frame in frames:
            tag = NO_TAG if frame.pts is None else int(frame.pts)
            if tag == segment.until:
                outputs.complete = started
                return outputs
            started |= tag == segment.first
            if started:
                outputs.append(tag, frame)
    outputs.complete = started and segment.until is None
    return outputs


def _from(
    context: VideoCodecContext, packets: Iterator[tuple[int, Packet[VideoStream]]], first: int, head: bool
) -> Iterator[tuple[int, Packet[VideoStream] | None]]:
    """The packets from `first` on with their numbers; at the end None, which flushes the decoder."""
    number = -1
    for number, packet in packets:
        if number == 0 and first > 0 and head:
            _see(context, packet)
        if number == first:
            context.flush_buffers()
        if number >= first:
            yield number, packet
    yield number + 1, None


def _see(context: VideoCodecContext, packet: Packet[VideoStream]) -> None:
    """Decode the first packet: parameter sets and messages to the decoder may stand there alone."""
    try:
        decode_packet(context, packet, 0)
    except av.error.FFmpegError:
        return  # the segments tell of what can't be decoded
