"""Detection and removal of black borders, from pictures and motion vectors."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["crop_borders"]

_DARK: Final = 24  # of 255: black of limited range, blurred by coding
_LEAST: Final = 0.03  # of the side; a narrower border costs nothing
_MOST_CUT: Final = 0.75  # of the area; more is a dark clip rather than a border


def crop_borders(
    pictures: npt.NDArray[np.uint8], peak: npt.NDArray[np.float32] | None
) -> tuple[npt.NDArray[np.uint8], bool]:
    """Cut black borders off the pictures of a clip, the same off all of them.

    A line belongs to a border if it is dark in all pictures and no cell of the motion grid that lies in the
    border moves. Narrow borders stay, as do those that would take most of the picture.

    Args:
        pictures: uint8 [N, H, W, 3].
        peak: float32 [rows, columns], the largest motion of each cell; None if it is unknown: nothing is cut.

    Returns:
        (pictures uint8 [N, h, w, 3], whether something was cut).
    """
    if peak is None:
        return pictures, False
    brightest = pictures.max(axis=(0, 3))
    height, width = brightest.shape
    top, bottom = _sides(brightest.max(axis=1) <= _DARK, peak.max(axis=1) > 0)
    left, right = _sides(brightest.max(axis=0) <= _DARK, peak.max(axis=0) > 0)
    area = (height - top - bottom) * (width - left - right)
    if not top + bottom + left + right or area < (1 - _MOST_CUT) * height * width:
        return pictures, False
    return pictures[:, top : height - bottom, left : width - right], True


def _sides(dark: npt.NDArray[np.bool_], moving: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Lines to cut at the beginning and at the end."""
    return _side(dark, moving), _side(dark[::-1], moving[::-1])


def _side(dark: npt.NDArray[np.bool_], moving: npt.NDArray[np.bool_]) -> int:
    if dark.all():
        return 0
    lines = int(np.argmin(dark))
    if moving.any():  # up to the first cell that moves
        lines = min(lines, int(np.argmax(moving)) * len(dark) // len(moving))
    return lines if lines >= _LEAST * len(dark) else 0
