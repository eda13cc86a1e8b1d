"""Actor crop: a box of fixed size that follows the motion from picture to picture.

Under a still camera a person covers a small part of the picture, anywhere in it. The box removes the
position from the input and spends the grid's cells on the body. Vectors are unchanged, so that they still
contain the person's own travel. Under a moving camera the crop is useless, since everything moves.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["cut", "track"]

_MIN_MOTION: Final = 0.4  # pixels per frame; less is noise of the encoder's search
_MAX_MOTION: Final = 4.0  # pixels per frame; limits the weight of a fast arm
_SIGMA: Final = 6.0  # pictures; a step or a hop is shorter than this Gaussian's window
_WINDOW: Final = 24  # pictures before and after

Array = npt.NDArray[np.float32]


def track(fields: Array, times: npt.NDArray[np.int64]) -> Array:
    """Centre of the motion in each picture.

    The weighted median of the moving cells' rows and columns, smoothed by a locally weighted line
    (Cleveland 1979) over the pictures nearby.

    Args:
        fields: float32 [N, 2, rows, columns], pixels per frame.
        times: int64 [N], ascending picture numbers.

    Returns:
        float32 [N, 2]: (row, column) in cells; the middle of the picture if nothing moves.
    """
    speed = np.linalg.norm(fields, axis=1)
    energy = np.where(speed > _MIN_MOTION, np.minimum(speed, _MAX_MOTION), 0)
    medians = np.stack([_median(energy.sum(axis=2)), _median(energy.sum(axis=1))], axis=1)
    weights = np.sqrt(energy.sum(axis=(1, 2)))
    default = np.array(fields.shape[2:]) / 2
    if weights.sum() > 0:
        default = np.asarray((weights @ medians) / weights.sum())
    centres = np.empty((len(fields), 2), np.float32)
    for i, time in enumerate(times):
        near = slice(np.searchsorted(times, time - _WINDOW), np.searchsorted(times, time + _WINDOW, "right"))
        centres[i] = _fit_line(times[near] - time, medians[near], weights[near], default)
    return centres


def _median(weights: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Weighted median of the cells' centres, for each row of [N, cells]."""
    total = np.cumsum(weights, axis=1, dtype=np.float64)
    half = total[:, -1:] / 2
    return np.asarray((total < half).sum(axis=1) + 0.5)


def _fit_line(
    lags: npt.NDArray[np.int64],
    positions: npt.NDArray[np.float64],
    weights: npt.NDArray[np.floating],
    default: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Value at lag 0 of the weighted least-squares line of positions [n, 2]; `default` for weights of 0."""
    local = weights * np.exp(-0.5 * (lags / _SIGMA) ** 2)
    total = local.sum()
    if total < 1e-3:
        return default
    local = local / total
    mean_lag, mean = local @ lags, local @ positions
    variance = local @ (lags - mean_lag) ** 2
    slope = (local * (lags - mean_lag)) @ (positions - mean) / (variance + 1.0)  # ridge, for few pictures
    return np.asarray(mean - slope * mean_lag)


def cut(fields: Array, centres: Array, size: tuple[int, int]) -> Array:
    """Cut a box of whole cells around each centre; motion outside the picture is 0.

    Args:
        fields: float32 [N, 2, rows, columns].
        centres: float32 [N, 2], (row, column).
        size: rows and columns of the box.

    Returns:
        float32 [N, 2, *size].
    """
    boxes = np.zeros((*fields.shape[:2], *size), np.float32)
    corners = np.round(centres - np.array(size) / 2).astype(np.int64)
    for i, corner in enumerate(corners.tolist()):
        rows, columns = (
            slice(max(first, 0), max(min(first + length, limit), 0))
            for first, length, limit in zip(corner, size, fields.shape[2:], strict=True)
        )
        part = fields[i, :, rows, columns]
        top, left = (max(-first, 0) for first in corner)
        boxes[i, :, top : top + part.shape[1], left : left + part.shape[2]] = part
    return boxes
