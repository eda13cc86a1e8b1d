"""RGB pictures at chosen positions, decoding no more than they need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final, NamedTuple

import av.error
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from .decoder import MotionDecoder
from .demux import PacketIndex, scan_packets
from .errors import MalformedStream, UnsupportedStream
from .source import Source, SourceLike, open_video

__all__ = [
    "PICTURES_VERSION",
    "RgbDecoder",
    "RgbFrames",
    "count_frames",
    "iter_rgb_at",
    "read_keyframes",
    "read_rgb_at",
]

Picture = npt.NDArray[np.uint8]

_RATE: Final = 25  # pictures a second, where nothing tells: libavformat's own guess for raw streams

PICTURES_VERSION: Final = 2
"""Of what reading a picture gives, for cache keys: 2 is upright, in square pixels."""


class RgbFrames(NamedTuple):
    """Pictures as a player shows them (upright, in square pixels), and where they stand.

    Attributes:
        frames: uint8 [N, H, W, 3].
        indices: int64 [N], presentation order positions.
    """

    frames: npt.NDArray[np.uint8]
    indices: npt.NDArray[np.int64]


class RgbDecoder:
    """Pictures of a video file as a player shows them, whose packets are scanned once.

    Args:
        source: a path, bytes or a binary file object; or a MotionDecoder, whose scan is shared.

    Raises:
        FileNotFoundError: the path does not exist.
        MalformedStream: the file is empty or damaged.
        UnsupportedStream: no video stream.
    """

    def __init__(self, source: SourceLike | MotionDecoder) -> None:
        self._motion: MotionDecoder | None = None
        if isinstance(source, MotionDecoder):
            self._motion = source
            self._source, self._index = source.source, source.packets
        else:
            self._source = Source.of(source)
            self._index = scan_packets(self._source)

    @property
    def packets(self) -> PacketIndex:
        """What demuxing alone tells."""
        return self._index

    def require_whole(self) -> None:
        """Refuse a file that is cut short.

        Raises:
            MalformedStream: says where.
        """
        self._index.require_whole(self._source.name)

    @cached_property
    def _count(self) -> int:
        if self._index.timestamps:
            return len(self._index)
        motion = self._motion
        if motion is None and self._index.stream.codec == "h264":  # its headers tell
            motion = MotionDecoder(self._source)
        if motion is not None:
            try:
                return motion.frame_count
            except UnsupportedStream:  # a codec without vectors
                pass
        with open_video(self._source) as (container, stream):
            try:
                return sum(1 for _ in container.decode(stream))
            except av.error.FFmpegError as error:
                raise _damaged(self._source, error) from error

    def __len__(self) -> int:
        """Pictures; only streams that have no timestamps and are not H.264 are decoded for it.

        Raises:
            MalformedStream: no picture can be decoded.
        """
        if self._count < 1:
            raise MalformedStream(f"{self._source.name}: no picture can be decoded")
        return self._count

    @property
    def times(self) -> npt.NDArray[np.float64] | None:
        """Presentation time of each picture in seconds, float64 [len(self)]; None without timestamps."""
        return self._index.times

    def edges(self) -> npt.NDArray[np.float64]:
        """When each picture begins to be shown, and when the last one ends.

        Returns:
            float64 [len(self) + 1], ascending, in seconds from the first picture on. Without times, or
            where they fall back, by the frame rate: the stream's, or 25 a second.
        """
        times, count = self.times, len(self)
        if times is not None and len(times) == count and bool((np.diff(times) >= 0).all()):
            return np.asarray(np.append(times, times[-1] + self._index.last_seconds) - times[0])
        return np.arange(count + 1) / float(self._index.stream.rate or _RATE)

    def keyframe_indices(self) -> list[int]:
        """Positions of the keyframes; without timestamps only the first picture is known to be one."""
        if not self._index.timestamps:
            return [0]
        keys = np.nonzero(self._index.keyframe & self._index.shown)[0]
        return sorted(self._index.presentation_of[keys].tolist())

    def preroll(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """What reading one picture alone takes.

        Returns:
            (entry, before), int64 [len(self)] each: which keyframe decoding starts at (pictures with
            the same number share it), and how many pictures it passes before this one. Without
            timestamps decoding starts at the first picture.
        """
        if self._index.timestamps:
            return self._index.preroll
        return np.zeros(len(self), np.int64), np.arange(len(self), dtype=np.int64)

    def get_frames_at(self, indices: Sequence[int]) -> RgbFrames:
        """Pictures in the order asked for; duplicates and negative indices are allowed.

        For each stretch decoding starts at the keyframe before it; pictures that no other refers
        to are skipped unless they are asked for.

        Raises:
            IndexError: an index is out of range.
            MalformedStream: damaged file.
            UnsupportedStream: the pictures differ in size.
            ValueError: no index given.
        """
        if not len(indices):
            raise ValueError("indices must name at least one frame")
        wanted = self._resolve(indices)
        found = dict(self._read(sorted(set(wanted))))
        shapes = {found[i].shape for i in wanted}
        if len(shapes) > 1:
            sizes = sorted({f"{width}x{height}" for height, width, _ in shapes})
            raise UnsupportedStream(
                f"{self._source.name}: the picture size changes within the video ({', '.join(sizes)})"
            )
        return RgbFrames(np.stack([found[i] for i in wanted]), np.array(wanted, np.int64))

    def iter_frames_at(self, indices: Sequence[int]) -> Iterator[tuple[int, Picture]]:
        """Like :meth:`get_frames_at`, one picture in memory at a time.

        Yields:
            (position, uint8 [H, W, 3]) in presentation order, each position once.

        Raises:
            IndexError: an index is out of range.
            MalformedStream: damaged file.
        """
        return self._read(sorted(set(self._resolve(indices))))

    def _resolve(self, indices: Sequence[int]) -> list[int]:
        """Positions from 0; streams without timestamps are counted only if an index asks for it."""
        if not self._index.timestamps and min(indices, default=0) >= 0:
            return list(indices)
        total = len(self)
        for i in indices:
            if not -total <= i < total:
                raise IndexError(f"frame {i} of a video with {total} frames (0 to {total - 1})")
        return [i % total for i in indices]

    def _read(self, wanted: list[int]) -> Iterator[tuple[int, Picture]]:
        with open_video(self._source) as (container, stream):
            for number, (start, group) in enumerate(self._index.stretches(wanted)):
                remaining = set(group)
                if start > 0:
                    container.seek(int(self._index.pts[start]), stream=stream, backward=True)
                if start > 0 or number == 0:
                    yield from self._decode(container, stream, start, remaining)
                if remaining and (start > 0 or number > 0):  # no clean entry point there
                    with open_video(self._source) as (again, same):
                        yield from self._decode(again, same, 0, remaining)
                self._require_none(remaining)

    def _require_none(self, remaining: set[int]) -> None:
        if remaining and not self._index.timestamps:
            raise IndexError(f"{self._source.name}: there is no frame {min(remaining)}, the video is shorter")
        if remaining:
            raise MalformedStream(f"{self._source.name}: picture {min(remaining)} could not be decoded")

    def _decode(
        self, container: InputContainer, stream: VideoStream, start: int, wanted: set[int]
    ) -> Iterator[tuple[int, Picture]]:
        """Decode from packet `start` until all wanted positions have been seen; takes them out of the set."""
        index, last = self._index, max(wanted)
        display = index.stream.display.with_aspect(stream.sample_aspect_ratio)
        try:
            for counter, (packet, frame) in enumerate(self._pictures(container, stream, start, wanted)):
                position = int(index.presentation_of[packet]) if index.timestamps else counter
                if position in wanted:
                    if frame.is_corrupt:
                        raise MalformedStream(f"{self._source.name}: picture {position} is damaged")
                    wanted.discard(position)
                    yield position, display.picture(frame)
                if position >= last:
                    return
        except av.error.FFmpegError as error:
            raise _damaged(self._source, error) from error

    def _pictures(
        self, container: InputContainer, stream: VideoStream, start: int, wanted: set[int]
    ) -> Iterator[tuple[int, VideoFrame]]:
        """(packet number, picture); pictures that are not wanted and not referred to are skipped."""
        index, context = self._index, stream.codec_context
        number = -1
        for packet in container.demux(stream):
            if packet.size:
                if number < 0:
                    number = 0 if start == 0 else index.locate(packet.pts, self._source.name)
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


def _damaged(source: Source, error: av.error.FFmpegError) -> MalformedStream:
    return MalformedStream(f"{source.name}: a picture is damaged: {error.strerror}")


def read_keyframes(
    source: SourceLike | MotionDecoder | RgbDecoder, max_frames: int | None = None
) -> RgbFrames:
    """The keyframes of a video; nothing else is decoded.

    Args:
        source: see :class:`RgbDecoder`.
        max_frames: if there are more keyframes, this many, evenly spaced.

    Returns:
        RgbFrames in presentation order.

    Raises:
        MalformedStream: damaged file.
        ValueError: `max_frames` is below 1.
    """
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"max_frames must be at least 1, got {max_frames}")
    decoder = source if isinstance(source, RgbDecoder) else RgbDecoder(source)
    positions = decoder.keyframe_indices()
    if max_frames is not None and len(positions) > max_frames:
        # Midpoints of equal parts.
        part = (np.arange(max_frames) + 0.5) * len(positions) / max_frames
        positions = [positions[i] for i in part.astype(np.intp)]
    return decoder.get_frames_at(positions)


def read_rgb_at(source: SourceLike | MotionDecoder, indices: Sequence[int]) -> RgbFrames:
    """Pictures at presentation positions: :meth:`RgbDecoder.get_frames_at` of a file read once."""
    return RgbDecoder(source).get_frames_at(indices)


def iter_rgb_at(source: SourceLike | MotionDecoder, indices: Sequence[int]) -> Iterator[tuple[int, Picture]]:
    """Pictures one at a time: :meth:`RgbDecoder.iter_frames_at` of a file read once."""
    return RgbDecoder(source).iter_frames_at(indices)


def count_frames(source: SourceLike | MotionDecoder) -> int:
    """Pictures of a video.

    Raises:
        MalformedStream: damaged file, cut short, or no picture in it.
    """
    decoder = RgbDecoder(source)
    decoder.require_whole()
    return len(decoder)
