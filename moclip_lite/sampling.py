"""Sampling of frames and windows: pure functions from counts to indices.

Where a clip has fewer frames than needed, its last frame repeats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "SAME_TIME",
    "Positions",
    "Segment",
    "choose_segments",
    "frame_positions",
    "pictures_between",
    "reachable_positions",
    "segment_windows",
]

Positions: TypeAlias = Literal["reachable", "uniform", "keyframes", "motion"]
"""Policies for the frames that CLIP sees: :func:`reachable_positions`, :func:`frame_positions`, keyframes
wherever they are, or peaks of motion (:func:`moclip_lite.appearance.motion_energy.motion_positions`)."""

Indices = npt.NDArray[np.int64]

# Seconds; annotations are rounded to milliseconds, and so are the times of some containers.
SAME_TIME: Final = 1e-3


@dataclass(frozen=True, order=True)
class Segment:
    """Part of a video, in seconds on a player's clock: the pictures that appear in [start, end)."""

    start: float
    end: float

    def overlaps(self, other: Segment) -> bool:
        """Whether the two share more than a millisecond."""
        return min(self.end, other.end) - max(self.start, other.start) > SAME_TIME

    def __str__(self) -> str:
        """Such as "12.5-20"; segments that differ by less than a microsecond look alike."""
        return "-".join(f"{seconds:.6f}".rstrip("0").rstrip(".") for seconds in (self.start, self.end))


WHOLE: Final = Segment(0.0, 1e9)
"""A segment that holds all pictures of a file."""


def pictures_between(begins: npt.NDArray[np.float64], segment: Segment) -> tuple[int, int]:
    """The pictures of a segment.

    A picture within a millisecond of a border belongs to what follows, so that segments which touch share no
    picture and leave none out.

    Args:
        begins: float64 [N], ascending; seconds from the first picture on at which each picture appears.
        segment: the part of the video.

    Returns:
        (first, stop): positions of the first picture and of the first one behind;
        equal if no picture appears.
    """
    first, stop = np.searchsorted(begins, [segment.start - SAME_TIME, segment.end - SAME_TIME])
    return int(first), int(stop)


def frame_positions(total: int, count: int) -> Indices:
    """Midpoints of `count` equal parts of a clip.

    Args:
        total: frames of the clip, at least 1.
        count: number of positions, at least 1.

    Returns:
        int64 [count], ascending, from 0 to total - 1.

    Raises:
        ValueError: a count below 1.
    """
    _check_positive(total=total, count=count)
    if total <= count:
        return np.minimum(np.arange(count), total - 1)
    return ((np.arange(count) + 0.5) * total / count).astype(np.int64)


def reachable_positions(entry: Indices, before: Indices, count: int) -> Indices:
    """One picture in each of `count` equal parts of a clip, chosen to be quick to decode.

    A part's midpoint is taken if decoding passes it anyway, on the way to a later picture that was
    chosen. Any other part contributes its keyframe nearest to the midpoint (of two the earlier), or
    without keyframes the picture with the fewest to decode before it. With GOPs no longer than a part
    each choice is a keyframe at most half a GOP from the midpoint, or the only one in its part.

    Args:
        entry: int64 [total], the keyframe at which decoding starts, for each picture.
        before: int64 [total], pictures decoded before it from there; 0 for a keyframe.
        count: number of positions, at least 1.

    Returns:
        int64 [count], ascending; as :func:`frame_positions`
        where the clip has no more than `count` pictures.

    Raises:
        ValueError: a count below 1.
    """
    total = len(entry)
    midpoints = frame_positions(total, count)
    if total <= count:
        return midpoints
    part_of = (2 * np.arange(total) + 1) * count // (2 * total)  # by the middle of each picture
    edges = np.searchsorted(part_of, np.arange(count + 1))
    positions = midpoints.copy()
    decoded: dict[int, int] = {}  # entry -> pictures decoded from it
    for i in range(count - 1, -1, -1):
        if decoded.get(int(entry[midpoints[i]]), -1) < before[midpoints[i]]:
            part = np.arange(edges[i], edges[i + 1])
            keyframes = part[before[part] == 0]
            centre = (2 * i + 1) * total / count  # in halves of a picture
            if len(keyframes):
                positions[i] = keyframes[np.argmin(abs(2 * keyframes + 1 - centre))]
            else:
                positions[i] = part[np.argmin(before[part])]
        start = int(entry[positions[i]])
        decoded[start] = max(decoded.get(start, 0), int(before[positions[i]]))
    return positions


def segment_windows(total: int, segments: int, length: int, stride: int = 1) -> Indices:
    """Windows of positions a stride apart, centred on the midpoints of equal segments.

    Args:
        total: positions to choose from, at least 1.
        segments: number of windows.
        length: positions in each window.
        stride: from one to the next.

    Returns:
        int64 [segments, length] with values from 0 to total - 1. Windows overlap where the clip is
        short; in a clip shorter than a window the last position repeats.

    Raises:
        ValueError: a count below 1.
    """
    _check_positive(total=total, segments=segments, length=length, stride=stride)
    span = (length - 1) * stride + 1
    centres = (np.arange(segments) + 0.5) * total / segments
    starts = np.clip(np.round(centres - span / 2), 0, max(total - span, 0)).astype(np.int64)
    return np.asarray(np.minimum(starts[:, None] + stride * np.arange(length), total - 1), np.int64)


def choose_segments(available: int, count: int, rng: np.random.Generator | None = None) -> Indices:
    """Choose `count` of `available` windows, spread over the clip (TSN's sampling).

    Args:
        available: windows that the clip has.
        count: windows to choose.
        rng: draws one window in each equal part; None takes the middle one.

    Returns:
        int64 [count], ascending.

    Raises:
        ValueError: a count below 1.
    """
    _check_positive(available=available, count=count)
    edges = np.arange(count) * available / count
    offsets = np.full(count, 0.5) if rng is None else rng.random(count)
    windows = np.floor(edges + offsets * (available / count)).astype(np.int64)
    return np.minimum(windows, available - 1)


def _check_positive(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
