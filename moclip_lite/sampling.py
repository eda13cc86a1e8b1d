"""Which frames are looked at: pure functions from counts to indices.

Short clips repeat: where a clip has fewer frames than asked for, the last one stands in for those
that are missing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["choose_segments", "frame_positions", "segment_windows"]

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
