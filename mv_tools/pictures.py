"""The pictures of a video stream, numbered as libavcodec puts them out.

Number i is the i-th picture that libavcodec, on one thread and from the first packet, puts out. A
packet is not always a picture: fields come in packets of their own, packets hold two pictures or
none, leading pictures of a recording that begins inside a group of pictures are not put out. Where
the headers leave no doubt the numbering is derived from them; else the stream is decoded once.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Final

import av.error
import numpy as np
import numpy.typing as npt
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from .demux import NO_PTS, PacketIndex, read_packets
from .errors import MalformedStream, UnsupportedStream
from .packet_rules import REORDERING_CODECS
from .scan import StreamScan
from .source import Source, open_video

if TYPE_CHECKING:
    from ._h264mv import PictureInfo

__all__ = ["NO_TAG", "PictureIndex", "decode_packet", "index_pictures", "picture_index"]

NO_TAG: Final = -1
"""Packet number of a picture that the decoder made up, which belongs to no packet."""


@dataclass(frozen=True)
class PictureIndex:
    """Pictures in presentation order.

    Attributes:
        packet: int64 [N], the packet (decoding order) that each picture comes from, of a frame coded
            as two fields the first one's; NO_TAG where there is none.
        entry: bool [N], whether decoding can start at the picture's packet.
        seconds: float64 [N], presentation times of the container; None if it has none.
        duration: seconds from the first picture to the end of the last one, or None.
        decoded: whether the stream was decoded for the numbering.
        corrupt: bool [N], whether libavcodec reports damage of the picture, as far as it was decoded.
        damaged: (packet, reason) where libavcodec refused a packet, if it was decoded.
    """

    packet: npt.NDArray[np.int64]
    entry: npt.NDArray[np.bool_]
    seconds: npt.NDArray[np.float64] | None
    duration: float | None
    decoded: bool
    corrupt: npt.NDArray[np.bool_]
    damaged: tuple[tuple[int, str], ...] = ()

    def __len__(self) -> int:
        return len(self.packet)

    @cached_property
    def position_of(self) -> dict[int, int]:
        """Presentation index by packet, of packets that give one picture."""
        return {packet: i for i, packet in enumerate(self.packet.tolist()) if packet != NO_TAG}

    @cached_property
    def sequential(self) -> bool:
        """Whether pictures can only be told apart by counting from the start."""
        return len(self.position_of) < len(self)

    @cached_property
    def decode_rank(self) -> npt.NDArray[np.int64]:
        """Position of each picture among them all in decoding order, int64 [N]."""
        return np.argsort(np.argsort(self.packet, kind="stable"), kind="stable").astype(np.int64)

    @property
    def reordered(self) -> bool:
        """Whether decoding and presentation order differ."""
        return bool((np.diff(self.packet) < 0).any())

    @cached_property
    def times(self) -> npt.NDArray[np.float64] | None:
        """Seconds of each picture, never falling: where two recordings are joined, the second goes on
        one picture behind the first."""
        if self.seconds is None or len(self) < 2:
            return self.seconds
        steps = np.diff(self.seconds)
        usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
        return np.concatenate(
            [self.seconds[:1], self.seconds[0] + np.cumsum(np.where(steps < 0, usual, steps))]
        )

    @cached_property
    def entry_of(self) -> npt.NDArray[np.int64]:
        """The presentation index of the entry picture that decoding of each picture starts at, -1 for
        the first packet: the last entry that comes before it in both orders, int64 [N]."""
        if self.sequential:
            return np.full(len(self), -1, np.int64)
        start = np.full(len(self), -1, np.int64)
        # Entries before a picture in presentation, those that a later one precedes in decoding dropped.
        candidates: list[int] = []
        packets: list[int] = []
        for i, (packet, entry) in enumerate(zip(self.packet.tolist(), self.entry.tolist(), strict=True)):
            if entry:
                while packets and packets[-1] >= packet:
                    packets.pop()
                    candidates.pop()
                packets.append(packet)
                candidates.append(i)
            place = bisect_left(packets, packet + 1)
            start[i] = candidates[place - 1] if place else -1
        return start

    def first_packet(self, entry: int) -> int:
        """The packet at which decoding from an entry picture (or -1, the start) begins."""
        return 0 if entry < 0 else int(self.packet[entry])


def index_pictures(source: Source, scan: StreamScan) -> PictureIndex:
    """Number the pictures of a scanned file.

    Raises:
        MalformedStream: no picture can be decoded; says why.
        UnsupportedStream: because of a feature that no decoder here reads.
    """
    known = _from_headers(source, scan) if scan.headers is not None else _from_packets(source, scan)
    if known is not None:
        return picture_index(scan.packets, *known)
    return _from_decoding(source, scan)


def picture_index(
    packets: PacketIndex,
    packet: npt.NDArray[np.int64],
    entry: npt.NDArray[np.bool_],
    *,
    corrupt: npt.NDArray[np.bool_] | None = None,
    damaged: tuple[tuple[int, str], ...] = (),
) -> PictureIndex:
    """Pictures whose packets are known, with the times of these; `corrupt` where they were decoded."""
    seconds, duration = _times(packet, packets)
    decoded = corrupt is not None
    corrupt = np.zeros(len(packet), bool) if corrupt is None else corrupt
    return PictureIndex(packet, entry, seconds, duration, decoded, corrupt, damaged)


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


def _from_packets(
    source: Source, scan: StreamScan
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]] | None:
    """Where a codec's rule finds at most one picture in each packet."""
    packets = scan.packets
    if scan.shown is None or packets.corrupt.any() or not packets.keyframe[0]:
        return None
    order = np.nonzero(np.array(scan.shown, bool) & packets.shown)[0].astype(np.int64)
    if packets.stream.codec in REORDERING_CODECS:
        ordered = _by_time(source, packets, order)
        if ordered is None:
            return None
        order = ordered
    return (order, packets.keyframe[order]) if len(order) else None


def _by_time(
    source: Source, packets: PacketIndex, numbers: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64] | None:
    """Packets in the order of their times; None if these are no order of presentation."""
    pts, dts = packets.pts[numbers], packets.dts[numbers]
    dts = dts[dts != NO_PTS]
    if NO_PTS in pts or len(np.unique(pts)) < len(pts) or (np.diff(dts) < 0).any():
        return None
    order = np.argsort(pts, kind="stable")
    depth, allowed = _reorder_depth(order.tolist()), _decoder_depth(source, packets)
    if depth > allowed or (depth == 0 and allowed > 0):  # without depth: times of decoding, perhaps
        return None
    return numbers[order]


def _decoder_depth(source: Source, packets: PacketIndex) -> int:
    """Pictures that libavcodec holds back for reordering."""
    if packets.stream.probed:
        return packets.stream.reorder_depth
    with open_video(source) as (_, stream):
        return int(stream.codec_context.reorder_depth)


def _from_headers(
    source: Source, scan: StreamScan
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]] | None:
    """H.264: pictures in the order of PicOrderCnt, if nothing in the headers is unusual."""
    headers, packets = scan.headers, scan.packets
    if headers is None or packets.corrupt.any() or packets.cut is not None or headers.errors():
        return None
    infos = headers.infos()
    if not infos[0].idr or any(info.gap for info in infos):
        return None
    sizes = {(info.coded_width, info.coded_height << (info.structure != "frame")) for info in infos}
    if len(sizes) > 1:
        return None
    frames = _frames(infos)
    if frames is None:
        return None
    keys = [(first.period, min(info.order_poc for info in frame)) for frame in frames for first in frame[:1]]
    number = [frame[0].sample for frame in frames]
    if len(set(keys)) < len(keys) or len(set(number)) < len(number):
        return None
    order = sorted(range(len(frames)), key=keys.__getitem__)
    if _reorder_depth(order) > _allowed_depth(source, scan):
        return None
    shown = packets.shown
    packet = np.array([number[i] for i in order if shown[number[i]]], np.int64)
    entry = np.array([_is_entry(frames[i]) for i in order if shown[number[i]]], bool)
    return (packet, entry) if len(packet) else None


def _frames(infos: list[PictureInfo]) -> list[list[PictureInfo]] | None:
    """The one or two pictures of each frame in decoding order; None if a field is alone."""
    frames: dict[int, list[PictureInfo]] = {}
    for info in infos:
        frames.setdefault(info.frame, []).append(info)
    for frame in frames.values():
        structures = sorted(info.structure for info in frame)
        if structures not in (["frame"], ["bottom", "top"]):
            return None
    return list(frames.values())


def _is_entry(frame: list[PictureInfo]) -> bool:
    """Whether all pictures shown behind a frame are exact when decoding starts at it.

    IDR pictures, and I pictures with a recovery point of recovery_frame_cnt 0 (H.264, D.2.8).
    """
    first = frame[0]
    return first.idr or (first.recovery_frame_cnt == 0 and all(info.pict_type == "I" for info in frame))


def _reorder_depth(order: list[int]) -> int:
    """How many frames at most precede a frame in decoding order and follow it in presentation.

    Args:
        order: position in decoding order of each presented frame.
    """
    rank = [0] * len(order)
    for presented, position in enumerate(order):
        rank[position] = presented
    seen: list[int] = []
    depth = 0
    for position, presented in enumerate(rank):
        depth = max(depth, position - bisect_left(seen, presented))
        insort(seen, presented)
    return depth


def _allowed_depth(source: Source, scan: StreamScan) -> int:
    """Frames that libavcodec holds back: max_num_reorder_frames (E.2.1), else its own guess."""
    headers = scan.headers
    signalled = None if headers is None else headers.num_reorder_frames
    if signalled is not None:
        return int(signalled)
    return _decoder_depth(source, scan.packets)


def _from_decoding(source: Source, scan: StreamScan) -> PictureIndex:
    """Decode the stream once, on one thread."""
    tags: list[int] = []
    keys: list[bool] = []
    corrupt: list[bool] = []
    damaged: list[tuple[int, str]] = []
    with open_video(source) as (container, stream):
        context = stream.codec_context
        context.thread_count, context.thread_type = 1, "NONE"
        context.options = {"skip_loop_filter": "all"}  # changes samples only
        numbered = enumerate(read_packets(container, stream))
        for number, packet in chain(numbered, ((len(scan.packets), None),)):
            try:
                for frame in decode_packet(context, packet, number):
                    tags.append(NO_TAG if frame.pts is None else int(frame.pts))
                    corrupt.append(bool(frame.is_corrupt))
                    keys.append(bool(frame.key_frame) and not frame.is_corrupt)
            except av.error.FFmpegError as error:
                damaged.append((number, str(error.strerror).lower()))
    if not tags:
        if scan.unsupported is not None:
            raise UnsupportedStream(f"{source.name}: {scan.unsupported}")
        raise MalformedStream(f"{source.name}: no picture can be decoded: {_why_nothing(scan, damaged)}")
    counts = Counter(tags)
    packet_of = np.array([tag if counts[tag] == 1 else NO_TAG for tag in tags], np.int64)
    entry = np.array(keys, bool) & (packet_of != NO_TAG)
    if scan.headers is not None:
        exact = {info.sample for info in scan.headers.infos() if _is_entry([info])}
        entry &= np.array([packet in exact for packet in packet_of.tolist()], bool)
    broken = np.array(corrupt, bool)
    return picture_index(scan.packets, packet_of, entry, corrupt=broken, damaged=tuple(damaged))


def _why_nothing(scan: StreamScan, damaged: list[tuple[int, str]]) -> str:
    """Why decoding puts out no picture."""
    if scan.malformed is not None:
        return f"no slice header can be read ({scan.malformed}); the parameter sets are missing, perhaps"
    infos = [] if scan.headers is None else scan.headers.infos()
    if not any(_is_entry([info]) for info in infos) and not scan.packets.keyframe.any():
        return "the recording begins inside a group of pictures and ends before the next keyframe"
    return f"the decoder refuses packet {damaged[0][0]}: {damaged[0][1]}" if damaged else "none is shown"


def _times(
    packet: npt.NDArray[np.int64], packets: PacketIndex
) -> tuple[npt.NDArray[np.float64] | None, float | None]:
    """Seconds of each picture, and from the first one to the end of the last one.

    Containers without presentation times give those of decoding: there the i-th picture has the
    i-th time.
    """
    ticks = np.where(packet == NO_TAG, NO_PTS, packets.pts[packet])
    known = ticks != NO_PTS
    if not known.any() or packets.time_base <= 0:
        return None, None
    if not known.all():
        places = np.arange(len(ticks))
        step = _usual_step(ticks[known], packets)
        filled = np.interp(places, places[known], ticks[known])
        filled += step * (
            np.minimum(places - places[known][0], 0) + np.maximum(places - places[known][-1], 0)
        )
        ticks = np.round(filled).astype(np.int64)
    coded = packets.pts[np.sort(packet[packet != NO_TAG])]
    if (np.diff(ticks) <= 0).any() and _ascending(coded):
        ticks = np.sort(ticks)
    last = int(packets.duration[packet[-1]]) or round(_usual_step(ticks, packets))
    seconds = ticks * packets.time_base
    steps = np.diff(seconds)
    length = float(steps[steps > 0].sum()) + last * packets.time_base
    return seconds.astype(np.float64), length


def _ascending(ticks: npt.NDArray[np.int64]) -> bool:
    return len(ticks) > 0 and ticks[0] != NO_PTS and bool((np.diff(ticks) > 0).all())


def _usual_step(ticks: npt.NDArray[np.int64], packets: PacketIndex) -> float:
    """Ticks from one picture to the next: the rate, else the most common difference."""
    if packets.stream.rate:
        return float(1 / packets.stream.rate) / packets.time_base
    steps = np.diff(ticks)
    return float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
