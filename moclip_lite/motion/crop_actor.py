"""Following whoever moves: a box of fixed size around the motion, picture by picture.

Under a still camera the person takes a small part of the picture, anywhere in it. The box takes
place out of the input and spends the grid's cells on the body. It keeps the vectors as they are, so
that the person's own travel stays in them. For moving cameras it is of no use: everything moves.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["cut", "track"]

_STILL: Final = 0.4  # pixels per frame; less is noise of the encoder's search
_ENOUGH: Final = 4.0  # pixels per frame; an arm that swings fast does not pull the box
_SIGMA: Final = 6.0  # pictures; a step or a hop is shorter than the window of this Gaussian
_REACH: Final = 24

Array = npt.NDArray[np.float32]


def track(fields: Array, times: npt.NDArray[np.int64]) -> Array:
    """Where the motion is in each picture.

    The weighted median of the moving cells' rows and columns, smoothed by a locally weighted line
    (Cleveland 1979) over the pictures nearby.

    Args:
        fields: float32 [N, 2, rows, columns], pixels per frame.
        times: int64 [N], ascending numbers of the pictures.

    Returns:
        float32 [N, 2]: (row, column) of the centre, in cells; the middle where nothing moves.
    """
    size = np.linalg.norm(fields, axis=1)
    energy = np.where(size > _STILL, np.minimum(size, _ENOUGH), 0)
    seen = np.stack([_median(energy.sum(axis=2)), _median(energy.sum(axis=1))], axis=1)
    trust = np.sqrt(energy.sum(axis=(1, 2)))
    middle = np.array(fields.shape[2:]) / 2
    if trust.sum() > 0:
        middle = np.asarray((trust @ seen) / trust.sum())
    out = np.empty((len(fields), 2), np.float32)
    for i, now in enumerate(times):
        near = slice(np.searchsorted(times, now - _REACH), np.searchsorted(times, now + _REACH, "right"))
        out[i] = _line(times[near] - now, seen[near], trust[near], middle)
    return out


def _median(weights: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Weighted median of the cells' middles, by row of [N, cells]."""
    total = np.cumsum(weights, axis=1, dtype=np.float64)
    half = total[:, -1:] / 2
    return np.asarray((total < half).sum(axis=1) + 0.5)


def _line(
    lag: npt.NDArray[np.int64],
    seen: npt.NDArray[np.float64],
    trust: npt.NDArray[np.floating],
    middle: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Value at lag 0 of the weighted least-squares line through [n, 2] positions."""
    weight = trust * np.exp(-0.5 * (lag / _SIGMA) ** 2)
    total = weight.sum()
    if total < 1e-3:
        return middle
    share = weight / total
    lag_mean, mean = share @ lag, share @ seen
    spread = share @ (lag - lag_mean) ** 2
    slope = (share * (lag - lag_mean)) @ (seen - mean) / (spread + 1.0)  # a ridge: few pictures give no slope
    return np.asarray(mean - slope * lag_mean)


def cut(fields: Array, centres: Array, size: tuple[int, int]) -> Array:
    """Cut a box of whole cells around each centre; beyond the picture nothing moves.

    Args:
        fields: float32 [N, 2, rows, columns].
        centres: float32 [N, 2], (row, column).
        size: rows and columns of the box.

    Returns:
        float32 [N, 2, *size].
    """
    out = np.zeros((*fields.shape[:2], *size), np.float32)
    corner = np.round(centres - np.array(size) / 2).astype(np.int64)
    for i, start in enumerate(corner.tolist()):
        inside = [
            slice(max(first, 0), max(min(first + length, limit), 0))
            for first, length, limit in zip(start, size, fields.shape[2:], strict=True)
        ]
        part = fields[i, :, inside[0], inside[1]]
        top, left = (max(-first, 0) for first in start)
        out[i, :, top : top + part.shape[1], left : left + part.shape[2]] = part
    return out
