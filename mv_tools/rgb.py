"""RGB pictures at chosen positions, decoding no more pictures than necessary."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from .decoder import MotionDecoder, OnDamage
from .display import Display
from .errors import ArgumentError, MalformedStream, UnsupportedStream
from .pictures.index import PictureIndex
from .pictures.notes import stream_notes
from .pictures.numbering import index_pictures
from .pictures.packets import PacketIndex
from .pictures.reader import PictureReader
from .pictures.scan import scan_stream
from .pictures.times import ASSUMED_RATE
from .source import Source, SourceLike

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

PICTURES_VERSION: Final = 3
"""Version of the pictures read, for cache keys: 2 is upright, in square pixels, numbered as decoded."""


class RgbFrames(NamedTuple):
    """Pictures as a player shows them (upright, in square pixels) and their numbers.

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
        MalformedStream: the file is empty or damaged, or no picture in it can be decoded.
        UnsupportedStream: no video stream.
    """

    def __init__(self, source: SourceLike | MotionDecoder) -> None:
        if isinstance(source, MotionDecoder):
            self._source, self._scan, self._pictures = source.source, source.scan, source.pictures
        else:
            self._source = Source.of(source)
            self._scan = scan_stream(self._source)
            self._pictures = index_pictures(self._source, self._scan)

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self._source.name

    @property
    def source(self) -> Source:
        """The file."""
        return self._source

    @cached_property
    def notes(self) -> list[str]:
        """Sentences on what is left out, guessed or damaged, as far as headers show it."""
        return stream_notes(self._scan, self._pictures)

    @property
    def packets(self) -> PacketIndex:
        """Times, sizes and flags of the packets, in decoding order."""
        return self._scan.packets

    @property
    def pictures(self) -> PictureIndex:
        """Numbering of the pictures, their times and entry pictures."""
        return self._pictures

    @property
    def times(self) -> npt.NDArray[np.float64] | None:
        """Seconds of each picture, float64 [len(self)], never decreasing; None if the file has no times."""
        return self._pictures.times

    @property
    def display(self) -> Display:
        """How pictures are shown: turned upright, in square pixels."""
        return self._scan.display

    def edges(self) -> npt.NDArray[np.float64]:
        """Times at which each picture appears, and at which the last one ends.

        Returns:
            float64 [len(self) + 1], ascending, in seconds from the first picture on. If the file has no
            times, they follow from the stream's frame rate, or 25 per second.
        """
        times, duration = self.times, self._pictures.duration
        if times is None or duration is None:
            return np.arange(len(self) + 1) / float(self._scan.packets.stream.rate or ASSUMED_RATE)
        begins = times - times[0]
        return np.asarray(np.append(begins, max(duration, begins[-1])), np.float64)

    def require_whole(self) -> None:
        """Refuse a truncated file.

        Raises:
            MalformedStream: says where it is cut short.
        """
        self._scan.packets.require_whole(self._source.name)

    def __len__(self) -> int:
        """Number of pictures that decoding outputs."""
        return len(self._pictures)

    def keyframe_indices(self) -> list[int]:
        """Positions of the pictures that decoding can start at; the first one if none is known."""
        return [int(i) for i in np.nonzero(self._pictures.entry)[0]] or [0]

    def preroll(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Packets to decode before each picture if it is read alone.

        Returns:
            (entry, before), int64 [len(self)] each: the packet that decoding starts at, and the number of
            packets decoded before the picture's own.
        """
        pictures = self._pictures
        if pictures.sequential:
            return np.zeros(len(self), np.int64), np.arange(len(self), dtype=np.int64)
        entry = pictures.entry_of
        start = np.where(entry < 0, 0, pictures.packet[np.maximum(entry, 0)])
        return start, pictures.packet - start

    def get_frames_at(self, indices: Sequence[int]) -> RgbFrames:
        """Chosen pictures in the given order; duplicates and negative indices are allowed.

        Decoding starts at the entry picture before each stretch of pictures, behind damage at the first
        packet; pictures that no other refers to are skipped unless they are chosen.

        Raises:
            IndexError: an index is out of range.
            MalformedStream: a picture is damaged.
            UnsupportedStream: the pictures differ in size.
            ArgumentError: no index given.
        """
        if not len(indices):
            raise ArgumentError("indices must name at least one frame")
        positions = self._resolve(indices)
        pictures = dict(self._read(sorted(set(positions))))
        shapes = {pictures[i].shape for i in positions}
        if len(shapes) > 1:
            sizes = sorted({f"{width}x{height}" for height, width, _ in shapes})
            raise UnsupportedStream(
                f"{self._source.name}: the picture size changes within the video ({', '.join(sizes)})"
            )
        return RgbFrames(np.stack([pictures[i] for i in positions]), np.array(positions, np.int64))

    def iter_frames_at(
        self, indices: Sequence[int], on_damage: OnDamage = "raise"
    ) -> Iterator[tuple[int, Picture]]:
        """Like :meth:`get_frames_at`, one picture in memory at a time.

        Args:
            indices: which pictures.
            on_damage: "skip" leaves out pictures that are damaged or could not be decoded.

        Yields:
            (position, uint8 [H, W, 3]) in presentation order, each position once.

        Raises:
            IndexError: an index is out of range.
            MalformedStream: a picture is damaged.
            ArgumentError: an unknown value of `on_damage`.
        """
        if on_damage not in get_args(OnDamage):
            raise ArgumentError(f"on_damage must be one of {get_args(OnDamage)}, got {on_damage!r}")
        return self._read(sorted(set(self._resolve(indices))), skip_damage=on_damage == "skip")

    def _resolve(self, indices: Sequence[int]) -> list[int]:
        """Positions counted from 0."""
        positions, total = [operator.index(i) for i in indices], len(self)
        for i in positions:
            if not -total <= i < total:
                raise IndexError(f"frame {i} of a video with {total} frames (0 to {total - 1})")
        return [i % total for i in positions]

    def _read(self, positions: list[int], skip_damage: bool = False) -> Iterator[tuple[int, Picture]]:
        missing = dict.fromkeys(positions)
        reader = PictureReader(source=self._source, packets=self._scan.packets, pictures=self._pictures)
        for index, frame, _ in reader.read(positions):
            if frame.is_corrupt:
                if skip_damage:
                    continue
                raise MalformedStream(f"{self._source.name}: picture {index} is damaged")
            missing.pop(index)
            yield index, self._scan.display.picture(frame)
        if missing and not skip_damage:
            raise MalformedStream(f"{self._source.name}: picture {min(missing)} could not be decoded")


def read_keyframes(
    source: SourceLike | MotionDecoder | RgbDecoder, max_frames: int | None = None
) -> RgbFrames:
    """Decode the keyframes of a video and no other picture.

    Args:
        source: see :class:`RgbDecoder`.
        max_frames: if there are more keyframes, this many, evenly spaced.

    Returns:
        RgbFrames in presentation order.

    Raises:
        MalformedStream: damaged file.
        ArgumentError: `max_frames` is below 1.
    """
    if max_frames is not None and max_frames < 1:
        raise ArgumentError(f"max_frames must be at least 1, got {max_frames}")
    decoder = source if isinstance(source, RgbDecoder) else RgbDecoder(source)
    positions = decoder.keyframe_indices()
    if max_frames is not None and len(positions) > max_frames:
        midpoints = (np.arange(max_frames) + 0.5) * len(positions) / max_frames  # of equal parts
        positions = [positions[i] for i in midpoints.astype(np.intp)]
    return decoder.get_frames_at(positions)


def read_rgb_at(source: SourceLike | MotionDecoder, indices: Sequence[int]) -> RgbFrames:
    """Read pictures at presentation positions; see :meth:`RgbDecoder.get_frames_at`."""
    return RgbDecoder(source).get_frames_at(indices)


def iter_rgb_at(source: SourceLike | MotionDecoder, indices: Sequence[int]) -> Iterator[tuple[int, Picture]]:
    """Read pictures one at a time; see :meth:`RgbDecoder.iter_frames_at`."""
    return RgbDecoder(source).iter_frames_at(indices)


def count_frames(source: SourceLike | MotionDecoder) -> int:
    """Count the pictures of a video.

    Raises:
        MalformedStream: damaged file, cut short, or no picture in it.
    """
    decoder = RgbDecoder(source)
    decoder.require_whole()
    return len(decoder)
