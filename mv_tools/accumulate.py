"""Accumulated motion: each block traced back to the I picture of its GOP.

The representation of CoViAR (Wu et al., CVPR 2018, section 3.2), with quarter-sample precision
kept: positions are traced in fractions of a pixel; only the look-up is by block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from .motion import MotionFrame, Structure, cell_size, flow, inter_mask

__all__ = ["Accumulator", "accumulate"]


class Accumulator:
    """Running sum of motion since the last I picture.

    Push pictures in presentation order, starting at an I picture; pictures before the first I picture are
    accumulated from the first one pushed. Two fields are half a frame apart, and so is a frame from the field
    before it; where fields and frames alternate, the sum is carried to the rows of the next picture. The sum
    begins again where the size of the video changes.
    """

    def __init__(self) -> None:
        self._sum: npt.NDArray[np.float32] | None = None
        self._structure: Structure = "frame"  # of the picture before

    def push(self, frame: MotionFrame) -> npt.NDArray[np.float32]:
        """Add one picture.

        Returns:
            float32 [2, H4, W4] of the upright picture: displacement in pixels of the content of each
            block since the last I picture; 0 in the I picture itself and where a block is intra coded.
        """
        step = flow(frame)
        before, self._structure = self._structure, frame.structure
        if before != "frame" and self._sum is not None:
            step *= np.float32(0.5)  # of a frame interval
        carried = self._carried(step.shape, fields=before != frame.structure)
        if frame.pict_type == "I" or carried is None:
            self._sum = step if frame.pict_type != "I" else np.zeros_like(step)
            return self._sum.copy()
        rows, columns = step.shape[1:]
        # Centre of each block, moved back to where its content was one frame ago.
        height, width = cell_size(frame)
        x = (np.arange(columns, dtype=np.float32) + np.float32(0.5)) * width - step[0]
        y = (np.arange(rows, dtype=np.float32) + np.float32(0.5))[:, None] * height - step[1]
        column = np.clip(np.floor(x / width), 0, columns - 1).astype(np.intp)
        row = np.clip(np.floor(y / height), 0, rows - 1).astype(np.intp)
        total = step + carried[:, row, column]
        self._sum = np.where(inter_mask(frame), total, np.float32(0)).astype(np.float32)
        return self._sum.copy()

    def _carried(self, shape: tuple[int, ...], *, fields: bool) -> npt.NDArray[np.float32] | None:
        """The sum on the grid of the next picture; None without one, or if the size of the video changed.

        Args:
            shape: of the picture's motion.
            fields: whether a frame follows a field or a field a frame, whose grids differ by two.
        """
        total = self._sum
        if total is None or total.shape == shape:
            return total
        sides = list(zip(total.shape[1:], shape[1:], strict=True))
        if not fields or sorted(max(pair) / min(pair) for pair in sides) != [1, 2]:
            return None
        row, column = (((np.arange(new) + 0.5) * (old / new)).astype(np.intp) for old, new in sides)
        return total[:, row[:, None], column]


def accumulate(frames: Iterable[MotionFrame]) -> Iterator[npt.NDArray[np.float32]]:
    """Accumulate the motion of pictures; see :class:`Accumulator`.

    Yields:
        float32 [2, H4, W4] for each picture.
    """
    accumulator = Accumulator()
    for frame in frames:
        yield accumulator.push(frame)
