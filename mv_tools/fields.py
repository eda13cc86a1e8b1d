"""Fields in frame coordinates: vertical motion, PicOrderCnt and places of interlaced blocks.

Line k of the top field is line 2k of the frame, line k of the bottom field line 2k + 1. A vector of v
lines from a field of parity p to one of parity q (0 top, 1 bottom) spans 2v + q - p lines of the frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from .motion import MotionFrame

__all__ = ["own_poc", "rows_in_frame_order", "to_frame_lines"]

Scalar = TypeVar("Scalar", bound=np.generic)

_MACROBLOCK = 4  # rows of the 4x4 grid


def _bottom(rows: int) -> npt.NDArray[np.bool_]:
    """Whether a field macroblock in each row is its pair's bottom field, bool [rows, 1] (H.264, 6.4.1)."""
    return (np.arange(rows) // _MACROBLOCK % 2 == 1)[:, None]


def own_poc(frame: MotionFrame) -> int | npt.NDArray[np.int64]:
    """PicOrderCnt of each block's own picture: of its field in field macroblocks; int or [H4, W4]."""
    poc = frame.poc or 0
    if frame.field_blocks is None or frame.field_poc is None:
        return poc
    top, bottom = frame.field_poc
    return np.where(frame.field_blocks, np.where(_bottom(frame.grid_shape[0]), bottom, top), poc)


def to_frame_lines(
    vertical: npt.NDArray[np.float32],
    frame: MotionFrame,
    first: npt.NDArray[np.bool_],
    used: npt.NDArray[np.bool_],
) -> None:
    """Turn vertical motion in lines of a field into lines of the frame, in place.

    Args:
        vertical: float32 [H4, W4], from the reference to the block, in lines.
        frame: the picture: of fields, or with field macroblocks.
        first: bool [H4, W4], where list 0 counts; elsewhere list 1 does.
        used: bool [H4, W4], blocks with motion.
    """
    other = frame.other_parity
    if frame.field_blocks is None:
        vertical *= 2
        bottom: npt.NDArray[np.bool_] | bool = frame.structure == "bottom"
    else:
        np.multiply(vertical, 2, out=vertical, where=frame.field_blocks)
        bottom = _bottom(frame.grid_shape[0])
        if other is None:  # odd indices name the field of other parity (H.264, 8.4.2.1)
            other = (frame.ref_idx & 1).astype(bool) & frame.field_blocks
    if other is not None:
        crosses = np.where(first, other[0], other[1]) & used
        vertical += np.where(crosses, np.where(bottom, np.float32(1), np.float32(-1)), np.float32(0))


def rows_in_frame_order(
    array: npt.NDArray[Scalar], field_blocks: npt.NDArray[np.bool_] | None
) -> npt.NDArray[Scalar]:
    """Give the blocks of field macroblocks the rows of their pair in turn.

    The two field macroblocks of a pair cover the same 32 lines: block row k of each covers lines 8k to
    8k + 7. The top field's goes to row 2k of the pair's eight, the bottom field's to row 2k + 1.

    Args:
        array: [..., H4, W4] as coded.
        field_blocks: bool [H4, W4], or None for none.

    Returns:
        [..., H4, W4].
    """
    if field_blocks is None:
        return array
    rows = np.arange(array.shape[-2])
    pair, place = rows // (2 * _MACROBLOCK), rows % (2 * _MACROBLOCK)
    source = pair * 2 * _MACROBLOCK + place % 2 * _MACROBLOCK + place // 2
    return np.where(field_blocks, array[..., source, :], array)
