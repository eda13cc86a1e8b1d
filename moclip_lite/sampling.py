"""Which frames are looked at: pure functions from counts to indices.

Short clips repeat: where a clip has fewer frames than asked for, the last one stands in for those
that are missing.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Positions", "choose_segments", "frame_positions", "reachable_positions", "segment_windows"]

Positions: TypeAlias = Literal["reachable", "uniform", "keyframes"]
"""Policies for the frames that CLIP sees: :func:`reachable_positions`, :func:`frame_positions`, or
keyframes wherever they stand."""

Indices = npt.NDArray[np.int64]


def frame_positions(total: int, count: int) -> Indices:
    """Midpoints of `count` equal parts of a clip.

    Args:
        total: frames of the clip, at least 1.
        count: how many positions, at least 1.

    Returns:
        int64 [count], ascending, from 0 to total - 1.

    Raises:
        ValueError: a count below 1.
    """
    _positive(total=total, count=count)
    if total <= count:
        return np.minimum(np.arange(count), total - 1)
    return ((np.arange(count) + 0.5) * total / count).astype(np.int64)


def reachable_positions(entry: Indices, before: Indices, count: int) -> Indices:
    """One picture in each of `count` equal parts of a clip, chosen to be quick to decode.

    A midpoint that decoding passes anyway, on its way to a picture chosen behind it, stays. Any other
    part gives its keyframe nearest to the midpoint (of two the earlier), or without keyframes the
    picture with the fewest to decode before it. With GOPs no longer than a part each choice is a
    keyframe at most half a GOP from the midpoint, or the only one in its part.

    Args:
        entry: int64 [total], which keyframe decoding starts at for each picture.
        before: int64 [total], pictures that decoding passes from there; 0 for a keyframe.
        count: how many positions, at least 1.

    Returns:
        int64 [count], ascending; as :func:`frame_positions` where the clip has no more than `count`
        pictures.

    Raises:
        ValueError: a count below 1.
    """
    total = len(entry)
    middle = frame_positions(total, count)
    if total <= count:
        return middle
    part = (2 * np.arange(total) + 1) * count // (2 * total)  # of each picture's own middle
    edges = np.searchsorted(part, np.arange(count + 1))
    chosen = middle.copy()
    reached: dict[int, int] = {}  # by entry, how far decoding goes from it
    for i in range(count - 1, -1, -1):
        inside = np.arange(edges[i], edges[i + 1])
        keys = inside[before[inside] == 0]
        start = int(entry[middle[i]])
        if reached.get(start, -1) < before[middle[i]]:
            centre = (2 * i + 1) * total / count  # all in halves of a picture
            nearest, soonest = abs(2 * keys + 1 - centre), before[inside]
            chosen[i] = keys[np.argmin(nearest)] if len(keys) else inside[np.argmin(soonest)]
        end = int(entry[chosen[i]])
        reached[end] = max(reached.get(end, 0), int(before[chosen[i]]))
    return chosen


def segment_windows(total: int, segments: int, length: int) -> Indices:
    """Windows of consecutive positions, centred on the midpoints of equal segments.

    Args:
        total: positions to choose from, at least 1.
        segments: how many windows.
        length: positions in each window.

    Returns:
        int64 [segments, length] with values from 0 to total - 1. Windows overlap where the clip is
        short; in a clip shorter than `length` the last position repeats.

    Raises:
        ValueError: a count below 1.
    """
    _positive(total=total, segments=segments, length=length)
    centre = (np.arange(segments) + 0.5) * total / segments
    start = np.clip(np.round(centre - length / 2), 0, max(total - length, 0)).astype(np.int64)
    return np.asarray(np.minimum(start[:, None] + np.arange(length), total - 1), np.int64)


def choose_segments(available: int, count: int, rng: np.random.Generator | None = None) -> Indices:
    """Choose `count` of `available` windows, spread over the clip (TSN's sampling).

    Args:
        available: windows that the clip has.
        count: how many to choose.
        rng: draws one window in each equal part; None takes the middle one.

    Returns:
        int64 [count], ascending.

    Raises:
        ValueError: a count below 1.
    """
    _positive(available=available, count=count)
    edges = np.arange(count) * available / count
    offset = np.full(count, 0.5) if rng is None else rng.random(count)
    chosen = np.floor(edges + offset * (available / count)).astype(np.int64)
    return np.minimum(chosen, available - 1)


def _positive(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
