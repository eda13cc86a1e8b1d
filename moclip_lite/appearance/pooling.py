"""Pooling of a clip's frames to the features that heads take (``clip.pooling``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["LONGER", "TIME_DIMS", "FrameFacts", "Pooling", "pool_frames"]

Floats = npt.NDArray[np.float32]

Pooling: TypeAlias = Literal["head", "mean", "max", "mean_max", "mean_std", "motion", "timed"]
"""``head`` hands all frames to the head, ``timed`` too, each with an encoding of its time; the others make
one vector of them: ``mean``, ``max``, both, ``mean`` and standard deviation, and ``motion``, the mean
weighted by motion energy."""

LONGER: Final = ("mean_max", "mean_std", "timed")
"""Poolings that give vectors of another length than a frame's: they can't be compared with text."""

TIME_DIMS: Final = 16
"""Length of the encoding of a time."""


@dataclass(frozen=True)
class FrameFacts:
    """Where the frames of a clip stand.

    Attributes:
        times: float32 [frames], from 0 to 1 over the clip.
        weights: float32 [frames], shares of the motion energy; equal where it is unknown.
    """

    times: Floats
    weights: Floats

    @classmethod
    def even(cls, frames: int) -> FrameFacts:
        """Frames at the midpoints of equal parts, none more important than another."""
        times = (np.arange(frames) + 0.5) / frames
        return cls(times.astype(np.float32), np.full(frames, 1 / frames, np.float32))


def pool_frames(rows: Floats, pooling: Pooling, facts: FrameFacts | None = None) -> Floats:
    """Pool the features of a clip's frames.

    Args:
        rows: float32 [frames, D].
        pooling: how.
        facts: of the frames; even ones by default.

    Returns:
        float32 [frames or 1, D, 2 D or D + TIME_DIMS].
    """
    if pooling == "head":
        return rows
    known = facts if facts is not None and len(facts.times) == len(rows) else FrameFacts.even(len(rows))
    if pooling == "timed":
        return np.concatenate([rows, _encoded(known.times)], axis=1, dtype=np.float32)
    mean = rows.mean(axis=0)
    parts = [known.weights @ rows if pooling == "motion" else rows.max(axis=0) if pooling == "max" else mean]
    if pooling == "mean_max":
        parts.append(rows.max(axis=0))
    elif pooling == "mean_std":
        parts.append(rows.std(axis=0))
    return np.concatenate(parts, dtype=np.float32)[None]


def _encoded(times: Floats) -> Floats:
    """Sines and cosines of 1 to 128 half waves over the clip: float32 [frames, TIME_DIMS]."""
    waves = np.pi * times[:, None] * 2.0 ** np.arange(TIME_DIMS // 2)
    return np.asarray(
        np.concatenate([np.sin(waves), np.cos(waves)], axis=1) / np.sqrt(TIME_DIMS / 2), np.float32
    )
