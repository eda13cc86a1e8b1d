"""Numbering of H.264 and HEVC pictures from slice headers.

Frames are put in the order of PicOrderCnt. Where libavcodec may output something other than the headers
imply, such as at missing data, the stream is decoded from an entry picture before the place to one behind it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ..source import Source, open_video
from .index import PictureIndex, picture_index
from .packets import NO_PACKET
from .scan import StreamScan
from .segments import Segment, SegmentOutput, decode_segments

if TYPE_CHECKING:
    from .._native import PictureInfo

__all__ = ["CodedFrame", "coded_frames", "damaged_packets", "number_from_headers", "x264_needs_first_packet"]

_MAX_DECODED_SHARE: Final = 0.5  # of the packets: where more would be decoded, the whole stream is
_DECODER_LOOKAHEAD: Final = 32  # packets, more than any decoder reads before it outputs a picture
_X264_FIXED: Final = 151  # the build from which on x264 follows the standard


@dataclass(frozen=True)
class CodedFrame:
    """A coded frame: one picture or two fields, in decoding order."""

    pictures: list[PictureInfo]

    @property
    def packet(self) -> int:
        """The packet of the first picture."""
        return self.pictures[0].sample

    @property
    def order(self) -> tuple[int, int]:
        """Sort key of the presentation order."""
        return self.pictures[0].period, min(info.order_poc for info in self.pictures)

    @property
    def complete(self) -> bool:
        """Whether it is a frame or has both fields."""
        structures = sorted(info.structure for info in self.pictures)
        return structures in (["frame"], ["bottom", "top"])

    @property
    def gap(self) -> bool:
        """Whether frames before it are missing: frame_num skips some (H.264), or its reference picture set
        holds one that the stream does not (HEVC)."""
        return any(info.gap for info in self.pictures)

    @property
    def entry(self) -> bool:
        """Whether all pictures presented behind the frame are exact when decoding starts at it.

        IDR pictures and I pictures with a recovery point of recovery_frame_cnt 0 (H.264, D.2.8); intra random
        access point pictures (HEVC).
        """
        first = self.pictures[0]
        intra = all(info.pict_type == "I" for info in self.pictures)
        return first.idr or (first.recovery_frame_cnt == 0 and intra)


def coded_frames(scan: StreamScan) -> list[CodedFrame]:
    """The frames of a stream in decoding order; empty without headers."""
    frames: dict[int, list[PictureInfo]] = {}
    for info in scan.infos:
        frames.setdefault(info.frame, []).append(info)
    return [CodedFrame(pictures) for pictures in frames.values()]


def entries_of(columns: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    """:attr:`CodedFrame.entry` of pictures that are frames, bool [N]."""
    exact = (columns["recovery_frame_cnt"] == 0) & columns["is_intra"]
    return np.asarray(columns["idr"] | exact, bool)


def x264_needs_first_packet(scan: StreamScan) -> bool:
    """Whether the decoder has to see x264's message to decode the stream.

    The message is in the first packet. Builds before 151 deviate from the standard (4:4:4, CABAC, 8x8
    transform), which decoders work around. True without headers.
    """
    if scan.headers is None:
        return True
    builds = scan.columns["x264_build"]
    return bool(((builds >= 0) & (builds < _X264_FIXED)).any())


def damaged_packets(scan: StreamScan, frames: list[CodedFrame]) -> set[int]:
    """Packets that are damaged, or that follow missing ones, as far as headers show it."""
    if scan.headers is None:
        return set()
    unreadable = {sample for sample, _ in scan.headers.errors() if sample < len(scan.packets)}
    if scan.headers.gaps_allowed:
        return unreadable
    return unreadable | {frame.packet for frame in frames if frame.gap}


def number_from_headers(source: Source, scan: StreamScan) -> PictureIndex | None:
    """Number the pictures of a stream whose headers were read.

    Returns:
        None where most of the stream would have to be decoded, or where decoding does not confirm the
        headers: the picture size changes, more frames are reordered than libavcodec holds back.
    """
    pictures = _number_plain(source, scan)
    if pictures is not None:
        return pictures
    frames = coded_frames(scan)
    infos = scan.infos
    if len({(info.coded_width, info.coded_height << (info.structure != "frame")) for info in infos}) > 1:
        return None
    uncertain = _uncertain_packets(scan, frames)
    frames.sort(key=lambda frame: frame.order)
    segments = _segments(frames, uncertain, len(scan.packets))
    if segments is None:
        return None
    needs_first = x264_needs_first_packet(scan)
    outputs = decode_segments(source, segments, decode_first_packet=needs_first) if segments else []
    merged = _merge(scan, frames, segments, outputs)
    if merged is None:
        return None
    packet = np.array(merged.packet, np.int64)
    if not len(packet) or NO_PACKET in packet or len(np.unique(packet)) < len(packet):
        return None
    if reorder_depth(packet) > _decoder_reorder_depth(source, scan):
        return None
    return picture_index(
        scan.packets,
        packet,
        np.array(merged.keyframe, bool),
        corrupt=np.array(merged.corrupt, bool) if segments else None,
        damaged_packets=damaged_packets(scan, frames),
        needs_first_packet=needs_first,
        refused=tuple(item for output in outputs for item in output.refused),
    )


def _number_plain(source: Source, scan: StreamScan) -> PictureIndex | None:
    """Number a stream whose headers leave no doubt and whose pictures are frames in packets of their own.

    Returns:
        None for other streams. The result is that of :func:`number_from_headers` without this function.
    """
    packets, columns = scan.packets, scan.columns
    if scan.headers is None or not scan.one_frame_each or scan.headers.errors():
        return None
    if packets.corrupt.any() or packets.truncation is not None:
        return None
    sizes = np.stack([columns["coded_width"], columns["coded_height"]])
    doubtful = columns["gap"] | columns["no_output_of_prior_pics"]
    if not columns["idr"][0] or doubtful.any() or (sizes != sizes[:, :1]).any():
        return None
    order = np.lexsort((columns["order_poc"], columns["period"]))
    keys = np.stack([columns["period"], columns["order_poc"]])[:, order]
    if (np.diff(keys) == 0).all(axis=0).any():
        return None
    sample = columns["sample"]
    order = order[columns["output"][order] & packets.displayed[sample[order]]]
    packet = sample[order]
    if not len(packet) or reorder_depth(packet) > _decoder_reorder_depth(source, scan):
        return None
    needs_first = x264_needs_first_packet(scan)
    return picture_index(packets, packet, entries_of(columns)[order], needs_first_packet=needs_first)


def _uncertain_packets(scan: StreamScan, frames: list[CodedFrame]) -> list[int]:
    """Packets at which libavcodec may output something other than the headers imply, ascending."""
    packets = scan.packets
    uncertain = set(packets.corrupt_packets)
    if scan.headers is not None:
        uncertain |= {sample for sample, _ in scan.headers.errors()}
    first = frames[0]
    if not first.pictures[0].idr or any(number < first.packet for number in uncertain):
        uncertain.add(0)
    if packets.truncation is not None:
        uncertain.add(len(packets) - 1)
    with_order = Counter(frame.order for frame in frames)
    in_packet = Counter(frame.packet for frame in frames)
    for frame in frames:
        ambiguous = with_order[frame.order] > 1 or in_packet[frame.packet] > 1
        discards = frame.pictures[0].no_output_of_prior_pics
        if frame.gap or not frame.complete or ambiguous or discards:
            uncertain.add(frame.packet)
    return sorted(number for number in uncertain if 0 <= number < len(packets))


def _segments(frames: list[CodedFrame], uncertain: list[int], count: int) -> list[Segment] | None:
    """What to decode; None if it is most of the file.

    Each segment begins at the last entry picture before an uncertain packet and ends at the second one
    behind it: what changes at the packet may reach the leading pictures of the first.

    Args:
        frames: in presentation order.
        uncertain: packets, ascending.
        count: packets of the file.
    """
    uncertain_set = set(uncertain)
    entries = sorted(frame.packet for frame in frames if frame.entry and frame.packet not in uncertain_set)
    segments: list[Segment] = []
    for packet in uncertain:
        behind = bisect_left(entries, packet)
        first = entries[behind - 1] if behind else 0
        until = entries[behind + 1] if behind + 1 < len(entries) else None
        if segments and (segments[-1].until is None or first < segments[-1].until + _DECODER_LOOKAHEAD):
            first = segments.pop().first
        segments.append(Segment(first, until))
    decoded = sum((count if segment.until is None else segment.until) - segment.first for segment in segments)
    return None if decoded > _MAX_DECODED_SHARE * count else segments


def _merge(
    scan: StreamScan, frames: list[CodedFrame], segments: list[Segment], outputs: list[SegmentOutput]
) -> SegmentOutput | None:
    """Take frames as their headers order them, and within segments as they were decoded.

    Args:
        scan: the file.
        frames: in presentation order.
        segments: the decoded parts of the stream.
        outputs: the output of each segment.

    Returns:
        All pictures, those as keyframes at which decoding can start. None if a segment did not lead from one
        entry picture to the other.
    """
    merged = SegmentOutput()

    def take(undecoded: list[CodedFrame]) -> None:
        displayed = [
            frame for frame in undecoded if frame.pictures[0].output and scan.packets.displayed[frame.packet]
        ]
        merged.packet += [frame.packet for frame in displayed]
        merged.keyframe += [frame.entry for frame in displayed]
        merged.corrupt += [False] * len(displayed)

    position = {frame.packet: i for i, frame in enumerate(frames)}
    start = 0
    for segment, output in zip(segments, outputs, strict=True):
        if not output.complete:
            return None
        take(frames[start : position[segment.first] if segment.first else 0])
        merged.packet += output.packet
        merged.keyframe += [
            keyframe and packet in position and frames[position[packet]].entry
            for packet, keyframe in zip(output.packet, output.keyframe, strict=True)
        ]
        merged.corrupt += output.corrupt
        start = len(frames) if segment.until is None else position[segment.until]
    take(frames[start:])
    return merged


def reorder_depth(packet: npt.NDArray[np.int64]) -> int:
    """How many frames at most precede a frame in decoding order and follow it in presentation order.

    Args:
        packet: int64 [N], the packet of each presented frame, all different.
    """
    # A frame that a later decoded one precedes in presentation order has fewer such predecessors than that
    # one. For a frame that none precedes, the number is its decoding position
    # minus its presentation position.
    decoded = np.argsort(np.argsort(packet))
    return int((decoded - np.arange(len(packet))).max(initial=0))


def _decoder_reorder_depth(source: Source, scan: StreamScan) -> int:
    """Frames that libavcodec holds back: max_num_reorder_frames (E.2.1), else its own guess."""
    signalled = None if scan.headers is None else scan.headers.num_reorder_frames
    if signalled is not None:
        return int(signalled)
    if scan.packets.stream.probed:
        return scan.packets.stream.reorder_depth
    with open_video(source) as (_, stream):
        return int(stream.codec_context.reorder_depth)
