"""Numbers the pictures of a scanned file as libavcodec puts them out.

A packet is not always a picture: fields come in packets of their own, packets hold two pictures or
none, leading pictures of a recording that begins inside a group of pictures are not put out. Where
slice headers or the rules of a codec leave no doubt, the numbering is derived from them. Around what
is in doubt the stream is decoded, from an entry picture before it to one behind it; where that is
most of the file, all of it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import MalformedStream, UnsupportedStream
from ..source import Source, open_video
from .index import NO_TAG, PictureIndex, picture_index
from .packets import PacketIndex
from .scan import StreamScan
from .segments import Outputs, Segment, decode_segments

if TYPE_CHECKING:
    from .._h264mv import PictureInfo

__all__ = ["index_pictures"]

_MOST: Final = 0.5  # of the packets: where more would be decoded, all are
_FROM_START: Final = frozenset(("dirac",))  # decoders that an emptied state makes put out other pictures
_X264_FIXED: Final = 151  # the build from which on x264 follows the standard
_READ_ON: Final = 32  # packets, more than any decoder reads before it puts a picture out


def index_pictures(source: Source, scan: StreamScan) -> PictureIndex:
    """Number the pictures of a scanned file.

    Raises:
        MalformedStream: no picture can be decoded; says why.
        UnsupportedStream: because of a feature that no decoder here reads.
    """
    known = _from_headers(source, scan) if scan.headers is not None else _from_packets(source, scan)
    return known if known is not None else _from_decoding(source, scan)


def _from_packets(source: Source, scan: StreamScan) -> PictureIndex | None:
    """Where a codec's rule finds exactly one picture in each packet."""
    packets = scan.packets
    if scan.keys is None or not scan.keys[0] or packets.corrupt.any():
        return None
    order = np.nonzero(packets.shown)[0].astype(np.int64)
    if not len(order):
        return None
    return picture_index(packets, order, np.array(scan.keys, bool)[order], head=_needs_head(scan))


def _decoder_depth(source: Source, packets: PacketIndex) -> int:
    """Pictures that libavcodec holds back for reordering."""
    if packets.stream.probed:
        return packets.stream.reorder_depth
    with open_video(source) as (_, stream):
        return int(stream.codec_context.reorder_depth)


@dataclass(frozen=True)
class _Frame:
    """A frame of an H.264 stream: one picture or two fields, in decoding order."""

    pictures: list[PictureInfo]

    @property
    def packet(self) -> int:
        return self.pictures[0].sample

    @property
    def order(self) -> tuple[int, int]:
        """What sorts frames for presentation."""
        return self.pictures[0].period, min(info.order_poc for info in self.pictures)

    @property
    def complete(self) -> bool:
        structures = sorted(info.structure for info in self.pictures)
        return structures in (["frame"], ["bottom", "top"])

    @property
    def entry(self) -> bool:
        """Whether all pictures shown behind the frame are exact when decoding starts at it.

        IDR pictures, and I pictures with a recovery point of recovery_frame_cnt 0 (H.264, D.2.8).
        """
        first = self.pictures[0]
        intra = all(info.pict_type == "I" for info in self.pictures)
        return first.idr or (first.recovery_frame_cnt == 0 and intra)


def _from_headers(source: Source, scan: StreamScan) -> PictureIndex | None:
    """H.264: frames in the order of PicOrderCnt; what is in doubt is decoded."""
    frames = _frames(scan)
    infos = [info for frame in frames for info in frame.pictures]
    if len({(info.coded_width, info.coded_height << (info.structure != "frame")) for info in infos}) > 1:
        return None
    doubts = _doubts(scan, frames)
    frames.sort(key=lambda frame: frame.order)
    segments = _segments(frames, doubts, len(scan.packets))
    if segments is None:
        return None
    outputs = decode_segments(source, segments, head=_needs_head(scan)) if segments else []
    merged = _merge(scan, frames, segments, outputs)
    if merged is None:
        return None
    tags, entry, corrupt = merged
    order = np.argsort(np.argsort(tags)).tolist()
    if (
        not tags
        or len(set(tags) - {NO_TAG}) < len(tags)
        or _reorder_depth(order) > _allowed_depth(source, scan)
    ):
        return None
    return picture_index(
        scan.packets,
        np.array(tags, np.int64),
        np.array(entry, bool),
        corrupt=np.array(corrupt, bool) if segments else None,
        doubts=_damage(scan, frames),
        head=_needs_head(scan),
        damaged=tuple(item for output in outputs for item in output.refused),
    )


def _merge(
    scan: StreamScan, frames: list[_Frame], segments: list[Segment], outputs: list[Outputs]
) -> tuple[list[int], list[bool], list[bool]] | None:
    """Frames by their headers, and what was decoded in place of those in doubt.

    Args:
        scan: the file.
        frames: in presentation order.
        segments: what was decoded, and
        outputs: the pictures put out of each.

    Returns:
        (packet, entry, corrupt) of each picture; None if a segment did not lead from one entry
        picture to the other.
    """
    tags: list[int] = []
    entry: list[bool] = []
    corrupt: list[bool] = []

    def take(known: list[_Frame]) -> None:
        shown = [frame for frame in known if scan.packets.shown[frame.packet]]
        tags.extend(frame.packet for frame in shown)
        entry.extend(frame.entry for frame in shown)
        corrupt.extend([False] * len(shown))

    place = {frame.packet: i for i, frame in enumerate(frames)}
    at = 0
    for segment, output in zip(segments, outputs, strict=True):
        if not output.complete:
            return None
        take(frames[at : place[segment.first] if segment.first else 0])
        tags += output.tags
        entry += [
            key and tag in place and frames[place[tag]].entry
            for tag, key in zip(output.tags, output.keys, strict=True)
        ]
        corrupt += output.corrupt
        at = len(frames) if segment.until is None else place[segment.until]
    take(frames[at:])
    return tags, entry, corrupt


def _frames(scan: StreamScan) -> list[_Frame]:
    """The frames of an H.264 stream in decoding order."""
    frames: dict[int, list[PictureInfo]] = {}
    for info in scan.infos:
        frames.setdefault(info.frame, []).append(info)
    return [_Frame(pictures) for pictures in frames.values()]


def _needs_head(scan: StreamScan) -> bool:
    """Whether decoders work around the encoder's faults, which names itself in the first packet.

    x264 before build 151 (4:4:4, CABAC, 8x8 transform), DivX and XviD.
    """
    if scan.packets.stream.codec != "h264":
        return scan.packets.stream.codec == "mpeg4"
    if scan.headers is None:
        return True
    builds = {info.x264_build for info in scan.infos}
    return any(build is not None and build < _X264_FIXED for build in builds)


def _damage(scan: StreamScan, frames: list[_Frame]) -> set[int]:
    """Packets of which the headers tell that they, or those before them, are damaged or missing."""
    if scan.headers is None:
        return set()
    gaps = {frame.packet for frame in frames if any(info.gap for info in frame.pictures)}
    lost = {sample for sample, _ in scan.headers.errors() if sample < len(scan.packets)}
    return lost if scan.headers.gaps_allowed else lost | gaps


def _doubts(scan: StreamScan, frames: list[_Frame]) -> list[int]:
    """Packets at which libavcodec may put out something else than the headers say."""
    packets = scan.packets
    doubts = set(packets.damaged)
    if scan.headers is not None:
        doubts |= {sample for sample, _ in scan.headers.errors()}
    if not frames[0].pictures[0].idr or doubts & set(range(frames[0].packet)):
        doubts.add(0)
    if packets.cut is not None:
        doubts.add(len(packets) - 1)
    orders = Counter(frame.order for frame in frames)
    numbers = Counter(frame.packet for frame in frames)
    for frame in frames:
        gap = any(info.gap for info in frame.pictures)
        if gap or not frame.complete or orders[frame.order] > 1 or numbers[frame.packet] > 1:
            doubts.add(frame.packet)
    return sorted(number for number in doubts if 0 <= number < len(packets))


def _segments(frames: list[_Frame], doubts: list[int], count: int) -> list[Segment] | None:
    """What to decode; None if it is most of the file.

    From the last entry picture before a doubt to the second one behind it: what a doubt changes may
    reach the leading pictures of the first.

    Args:
        frames: in presentation order.
        doubts: packets, ascending.
        count: packets of the file.
    """
    doubtful = set(doubts)
    entries = sorted(frame.packet for frame in frames if frame.entry and frame.packet not in doubtful)
    segments: list[Segment] = []
    for doubt in doubts:
        behind = bisect_left(entries, doubt)
        first = entries[behind - 1] if behind else 0
        until = entries[behind + 1] if behind + 1 < len(entries) else None
        if segments and (segments[-1].until is None or first < segments[-1].until + _READ_ON):
            first = segments.pop().first
        segments.append(Segment(first, until))
    decoded = sum((count if segment.until is None else segment.until) - segment.first for segment in segments)
    return None if decoded > _MOST * count else segments


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
    signalled = None if scan.headers is None else scan.headers.num_reorder_frames
    return _decoder_depth(source, scan.packets) if signalled is None else int(signalled)


def _from_decoding(source: Source, scan: StreamScan) -> PictureIndex:
    """Decode the whole stream."""
    [outputs] = decode_segments(source, [Segment(0, None)])
    tags = outputs.tags
    if not tags:
        if scan.unsupported is not None:
            raise UnsupportedStream(f"{source.name}: {scan.unsupported}")
        raise MalformedStream(f"{source.name}: no picture can be decoded: {_why_nothing(scan, outputs)}")
    frames, counts = _frames(scan), Counter(tags)
    packet = np.array([tag if counts[tag] == 1 else NO_TAG for tag in tags], np.int64)
    entry = np.array(outputs.keys, bool) & (packet != NO_TAG)
    if scan.packets.stream.codec in _FROM_START:
        entry[:] = False
    if scan.headers is not None:
        exact = {frame.packet for frame in frames if frame.entry}
        entry &= np.array([tag in exact for tag in packet.tolist()], bool)
    return picture_index(
        scan.packets,
        packet,
        entry,
        corrupt=np.array(outputs.corrupt, bool),
        doubts=_damage(scan, frames),
        head=_needs_head(scan),
        damaged=tuple(outputs.refused),
    )


def _why_nothing(scan: StreamScan, outputs: Outputs) -> str:
    """Why decoding puts out no picture."""
    if scan.malformed is not None:
        return (
            "no slice header can be read, as where a recording begins inside a group of pictures and the "
            f"parameter sets stand before that ({scan.malformed})"
        )
    if not any(frame.entry for frame in _frames(scan)) and not scan.packets.keyframe.any():
        return "the recording begins inside a group of pictures and ends before the next keyframe"
    if outputs.refused:
        number, why = outputs.refused[0]
        return f"the decoder refuses packet {number}: {why}"
    return "none is shown"
