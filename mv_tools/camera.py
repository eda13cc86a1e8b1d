"""Camera motion: a robust affine fit to a motion field, and the field without it."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from .errors import ArgumentError
from .raster import checked_field

__all__ = ["affine_flow", "fit_affine", "remove_camera_motion"]

_HYPOTHESES: Final = 64  # minimal samples of three blocks
_MAX_BLOCKS: Final = 1024  # that hypotheses are drawn from and compared on
_ITERATIONS: Final = 10  # of reweighted least squares
_MIN_SCALE: Final = 0.25  # pixels; one quarter sample, the finest step of a vector
_MIN_DETERMINANT: Final = 0.05  # below, three blocks lie nearly on a line


def _basis(rows: int, columns: int) -> npt.NDArray[np.float64]:
    """[rows * columns, 3]: 1, x, y with x and y from -1 to 1 over the grid."""
    y, x = np.mgrid[0:rows, 0:columns]
    x = (2 * x + 1) / columns - 1
    y = (2 * y + 1) / rows - 1
    return np.stack([np.ones(rows * columns), x.ravel(), y.ravel()], axis=1)


def fit_affine(
    flow: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float64]:
    """Fit ``flow = A @ (1, x, y)`` to the background.

    Least median of squares over minimal samples (Rousseeuw 1984), then reweighted least squares
    with Tukey's biweight. Up to about half of the blocks may move independently. Samples are drawn from a
    fixed seed: the same field gives the same fit.

    Args:
        flow: float32 [2, rows, columns], pixels per frame.
        mask: bool [rows, columns], the blocks that have motion; all by default.

    Returns:
        float64 [2, 3]: for the x and y component the factors of 1, x and y, where x and y run
        from -1 to 1 over the picture. Zeros if fewer than 3 blocks have motion.

    Raises:
        ArgumentError: `flow` is no field of two finite components, or `mask` has another shape or is not of
            booleans.
    """
    flow = _checked(flow, mask)
    rows, columns = flow.shape[1:]
    basis = _basis(rows, columns)
    target = flow.reshape(2, -1).T.astype(np.float64)
    if mask is not None:
        basis, target = basis[mask.ravel()], target[mask.ravel()]
    if len(basis) < 3:
        return np.zeros((2, 3))
    affine = _least_median(basis, target)
    for _ in range(_ITERATIONS):
        residual = np.linalg.norm(target - basis @ affine, axis=1)
        scale = max(1.4826 * float(np.median(residual)), _MIN_SCALE)
        weight = np.clip(1 - (residual / (4.685 * scale)) ** 2, 0, None)
        root = weight[:, None]
        previous, (affine, *_) = affine, np.linalg.lstsq(basis * root, target * root, rcond=None)
        if np.allclose(affine, previous, atol=1e-4):
            break
    return affine.T


def _checked(flow: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.float32]:
    flow = checked_field(flow)
    if len(flow) != 2:
        raise ArgumentError(f"flow must have two components, x and y, got {len(flow)}")
    if not np.isfinite(flow).all():
        raise ArgumentError("flow must be finite: it holds NaN or infinity")
    if mask is not None and not (isinstance(mask, np.ndarray) and mask.dtype == bool):
        kind = mask.dtype if isinstance(mask, np.ndarray) else type(mask).__name__
        raise ArgumentError(f"mask must be an array of booleans, got {kind}")
    if mask is not None and mask.shape != flow.shape[1:]:
        raise ArgumentError(f"mask must have the shape {flow.shape[1:]} of the field, got {mask.shape}")
    return flow


def _least_median(basis: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The best of many exact fits through three blocks, [3, 2]."""
    rng = np.random.default_rng(0)
    if len(basis) > _MAX_BLOCKS:
        chosen = rng.choice(len(basis), _MAX_BLOCKS, replace=False)
        basis, target = basis[chosen], target[chosen]
    triples = rng.integers(0, len(basis), (_HYPOTHESES, 3))
    matrices = basis[triples]
    solvable = np.abs(np.linalg.det(matrices)) > _MIN_DETERMINANT
    translation = np.zeros((3, 2))
    translation[0] = np.median(target, axis=0)
    fits = np.concatenate([translation[None], np.linalg.solve(matrices[solvable], target[triples[solvable]])])
    residual = np.linalg.norm(target[None] - basis[None] @ fits, axis=-1)
    best: npt.NDArray[np.float64] = fits[np.argmin(np.median(residual, axis=1))]
    return best


def affine_flow(affine: npt.NDArray[np.float64], rows: int, columns: int) -> npt.NDArray[np.float32]:
    """The field of a fit, float32 [2, rows, columns]."""
    return (affine @ _basis(rows, columns).T).reshape(2, rows, columns).astype(np.float32)


def remove_camera_motion(
    flow: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float32]:
    """Subtract the fitted global motion.

    Args:
        flow: float32 [2, rows, columns].
        mask: bool [rows, columns]; blocks outside it (intra) stay 0.

    Returns:
        float32 [2, rows, columns].

    Raises:
        ArgumentError: see :func:`fit_affine`.
    """
    affine, flow = fit_affine(flow, mask), np.asarray(flow)
    residual = flow - affine_flow(affine, *flow.shape[1:])
    if mask is not None:
        residual = np.where(mask, residual, np.float32(0))
    return residual.astype(np.float32)
