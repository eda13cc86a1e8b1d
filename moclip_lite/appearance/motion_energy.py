"""Motion energy of a clip: over time, for the choice of frames, and over the grid, for borders.

Energy of a picture: the mean over the grid's cells of |v - median v|,
so that a pan of the camera does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["MotionEnergy", "motion_positions"]

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

_LEAST: Final = 1e-3  # pixels per frame; below it nothing moves


@dataclass(frozen=True)
class MotionEnergy:
    """Motion energy of a clip.

    Attributes:
        pictures: int64 [K], numbers of the pictures whose motion is known, ascending.
        energy: float32 [K], of each of them.
        peak: float32 [rows, columns], the largest |v| of each cell over the clip, in pixels per frame; None
            where the grid does not cover the whole picture.
    """

    pictures: Indices
    energy: Floats
    peak: Floats | None

    @classmethod
    def of(
        cls, motion: npt.NDArray[np.float16], indices: npt.NDArray[np.integer], whole: bool
    ) -> MotionEnergy | None:
        """The energy of a motion tensor; None where nothing moves.

        Args:
            motion: [segments, frames, 2, rows, columns].
            indices: [segments, frames], picture numbers.
            whole: whether the grid covers the whole picture (``motion.crop=none``).
        """
        pictures, first = np.unique(indices, return_index=True)
        fields = motion.reshape(-1, *motion.shape[2:])[first].astype(np.float32)
        own = fields - np.median(fields, axis=(2, 3), keepdims=True)
        energy = np.hypot(own[:, 0], own[:, 1]).mean(axis=(1, 2))
        peak = np.hypot(fields[:, 0], fields[:, 1]).max(axis=0)
        if energy.max(initial=0) < _LEAST:
            return None
        return cls(pictures.astype(np.int64), np.asarray(energy, np.float32), peak if whole else None)

    def at(self, positions: Indices) -> Floats:
        """Energy at pictures, interpolated between those that are known: float32 [N]."""
        return np.asarray(np.interp(positions, self.pictures, self.energy), np.float32)


def motion_positions(usable: Indices, energy: MotionEnergy, count: int) -> Indices:
    """Pictures at peaks of motion energy, apart from each other.

    The energy is averaged with a triangle as wide as a quarter of `count` equal parts. The highest peak is
    taken, pictures nearer to it than half a part are left out, and so on.

    Args:
        usable: int64 [N], numbers of pictures to choose from, ascending.
        energy: of the clip.
        count: pictures to choose.

    Returns:
        int64 [count], ascending; the last one repeats where there are fewer.
    """
    total = len(usable)
    if total <= count:
        return usable[np.minimum(np.arange(count), total - 1)]
    half = max(1, round(total / (8 * count)))
    kernel = half - np.abs(np.arange(1 - half, half))
    padded = np.pad(energy.at(usable).astype(np.float64), half - 1, mode="edge")
    smooth = np.convolve(padded, kernel / kernel.sum(), mode="valid")
    free, chosen = np.ones(total, bool), np.zeros(total, bool)
    for _ in range(count):
        places = np.nonzero(free & ~chosen)[0]
        if not len(places):
            places = np.nonzero(~chosen)[0]
        best = int(places[np.argmax(smooth[places])])
        chosen[best] = True
        free &= np.abs(np.arange(total) - best) >= total / (2 * count)
    return usable[np.nonzero(chosen)[0]]
