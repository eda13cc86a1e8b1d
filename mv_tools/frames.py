"""RGB pictures at chosen positions, decoding no more than they need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import av.error
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from .demux import PacketIndex, scan_packets
from .errors import MalformedStream, UnsupportedStream
from .source import Source, SourceLike, open_video

__all__ = ["RgbFrames", "count_frames", "iter_rgb_at", "read_keyframes", "read_rgb_at"]


class RgbFrames(NamedTuple):
    """Pictures and where they stand.

    Attributes:
        frames: uint8 [N, H, W, 3].
        indices: int64 [N], presentation order positions.
    """

    frames: npt.NDArray[np.uint8]
    indices: npt.NDArray[np.int64]


def read_keyframes(source: SourceLike, max_frames: int | None = None) -> RgbFrames:
    """The keyframes of a video; nothing else is decoded.

    Args:
        source: a path, bytes or a binary file object.
        max_frames: if there are more keyframes, this many, evenly spaced.

    Returns:
        RgbFrames in presentation order.

    Raises:
        MalformedStream: damaged file.
        ValueError: `max_frames` is below 1.
    """
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"max_frames must be at least 1, got {max_frames}")
    source = Source.of(source)
    index = scan_packets(source)
    keys = np.nonzero(index.keyframe & index.shown)[0] if index.timestamps else np.array([0])
    positions = np.sort(index.presentation_of[keys]) if index.timestamps else keys
    if max_frames is not None and len(positions) > max_frames:
        # Midpoints of equal parts.
        part = (np.arange(max_frames) + 0.5) * len(positions) / max_frames
        positions = positions[part.astype(np.intp)]
    return read_rgb_at(source, [int(p) for p in positions])


def read_rgb_at(source: SourceLike, indices: Sequence[int]) -> RgbFrames:
    """Pictures at presentation positions, in the order asked for; duplicates are allowed.

    For each stretch decoding starts at the keyframe before it; pictures that no other refers to
    are skipped unless they are asked for.

    Raises:
        IndexError: an index is out of range.
        MalformedStream: damaged file.
        UnsupportedStream: the pictures differ in size.
        ValueError: no index given.
    """
    source = Source.of(source)
    if not len(indices):
        raise ValueError("indices must name at least one frame")
    index = scan_packets(source)
    wanted = _resolve(source, index, indices)
    found = dict(_read(source, index, sorted(set(wanted))))
    shapes = {found[i].shape for i in wanted}
    if len(shapes) > 1:
        sizes = sorted({f"{width}x{height}" for height, width, _ in shapes})
        raise UnsupportedStream(
            f"{source.name}: the picture size changes within the video ({', '.join(sizes)})"
        )
    return RgbFrames(np.stack([found[i] for i in wanted]), np.array(wanted, np.int64))


def iter_rgb_at(source: SourceLike, indices: Sequence[int]) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Like :func:`read_rgb_at`, one picture in memory at a time.

    Yields:
        (position, uint8 [H, W, 3]) in presentation order, each position once.

    Raises:
        IndexError: an index is out of range.
        MalformedStream: damaged file.
    """
    source = Source.of(source)
    index = scan_packets(source)
    yield from _read(source, index, sorted(set(_resolve(source, index, indices))))


def count_frames(source: SourceLike) -> int:
    """Pictures of a video; only streams without timestamps are decoded for it.

    Raises:
        MalformedStream: damaged file, cut short, or no picture in it.
    """
    source = Source.of(source)
    index = scan_packets(source)
    index.require_whole(source.name)
    total = _count(source, index)
    if total < 1:
        raise MalformedStream(f"{source.name}: no picture can be decoded")
    return total


def _count(source: Source, index: PacketIndex) -> int:
    if index.timestamps:
        return len(index)
    with open_video(source) as (container, stream):
        try:
            return sum(1 for _ in container.decode(stream))
        except av.error.FFmpegError as error:
            raise MalformedStream(f"{source.name}: a picture is damaged: {error.strerror}") from error


def _resolve(source: Source, index: PacketIndex, indices: Sequence[int]) -> list[int]:
    """Positions from 0; raw streams are counted only if an index asks for it."""
    if not index.timestamps and min(indices, default=0) >= 0:
        return list(indices)
    total = _count(source, index)
    for i in indices:
        if not -total <= i < total:
            raise IndexError(f"frame {i} of a video with {total} frames (0 to {total - 1})")
    return [i % total for i in indices]


def _read(
    source: Source, index: PacketIndex, wanted: list[int]
) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    for start, group in index.stretches(wanted):
        remaining = set(group)
        for begin in (start, 0) if start > 0 else (0,):  # 0: no clean entry point there
            for position, picture in _decode(source, index, begin, remaining):
                remaining.discard(position)
                yield position, picture
            if not remaining:
                break
        if remaining and not index.timestamps:
            raise IndexError(f"{source.name}: there is no frame {min(remaining)}, the video is shorter")
        if remaining:
            raise MalformedStream(f"{source.name}: picture {min(remaining)} could not be decoded")


def _decode(
    source: Source, index: PacketIndex, start: int, wanted: set[int]
) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Decode from packet `start` until all wanted positions have been seen."""
    last = max(wanted)
    with open_video(source) as (container, stream):
        if start > 0:
            container.seek(int(index.pts[start]), stream=stream, backward=True)
        try:
            for counter, (packet, frame) in enumerate(_pictures(container, stream, index, start, wanted)):
                position = int(index.presentation_of[packet]) if index.timestamps else counter
                if position in wanted:
                    if frame.is_corrupt:
                        raise MalformedStream(f"{source.name}: picture {position} is damaged")
                    yield position, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                if position >= last:
                    return
        except av.error.FFmpegError as error:
            raise MalformedStream(f"{source.name}: a picture is damaged: {error.strerror}") from error


def _pictures(
    container: InputContainer, stream: VideoStream, index: PacketIndex, start: int, wanted: set[int]
) -> Iterator[tuple[int, VideoFrame]]:
    """(packet number, picture); pictures that are not wanted and not referred to are skipped."""
    context = stream.codec_context
    number = -1
    for packet in container.demux(stream):
        if packet.size:
            if number < 0:
                number = 0 if start == 0 else int(np.nonzero(index.pts == packet.pts)[0][0])
            else:
                number += 1
            if index.unneeded(number, start):
                continue
            if index.timestamps:
                needed = int(index.presentation_of[number]) in wanted
                context.skip_frame = "DEFAULT" if needed else "NONREF"
            packet.pts = number  # comes back with the picture, whatever the reordering
        for frame in context.decode(packet):
            if frame.pts is not None:
                yield frame.pts, frame
