"""Interlaced blocks in frame coordinates: vertical motion, PicOrderCnt and rows.

Line k of the top field is line 2k of the frame, line k of the bottom field line 2k + 1. A vector of v
lines from a field of parity p to one of parity q (0 top, 1 bottom) spans 2v + q - p lines of the frame.
"""

from __future__ import annotations

from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from ..stream_info import Structure

__all__ = ["block_poc", "rows_in_frame_order", "to_frame_lines"]

Scalar = TypeVar("Scalar", bound=np.generic)
Mask = npt.NDArray[np.bool_]

_MACROBLOCK: Final = 4  # rows of the 4x4 grid


def _bottom(rows: int) -> Mask:
    """Whether a field macroblock in each row is its pair's bottom field, bool [rows, 1] (H.264, 6.4.1)."""
    return np.asarray((np.arange(rows) // _MACROBLOCK % 2 == 1)[:, None])


def block_poc(
    poc: int, field_blocks: Mask | None, field_poc: tuple[int | None, int | None] | None
) -> int | npt.NDArray[np.int64]:
    """PicOrderCnt of the picture that each block belongs to: in field macroblocks, of its field.

    Args:
        poc: PicOrderCnt of the picture.
        field_blocks: bool [H4, W4] as coded, or None if there are none.
        field_poc: PicOrderCnt of its top and bottom field.

    Returns:
        `poc`, or int64 [H4, W4].
    """
    top, bottom = field_poc or (None, None)
    if field_blocks is None or top is None or bottom is None:
        return poc
    return np.where(field_blocks, np.where(_bottom(len(field_blocks)), bottom, top), poc)


def to_frame_lines(
    vertical: npt.NDArray[np.float32], crosses: Mask | None, structure: Structure, field_blocks: Mask | None
) -> None:
    """Turn vertical motion in lines of a field into lines of the frame, in place.

    Args:
        vertical: float32 [H4, W4], from the reference to the block, in lines.
        crosses: bool [H4, W4], blocks whose reference is a field of the other parity; None if unknown.
        structure: structure of the picture.
        field_blocks: bool [H4, W4] as coded, or None if there are none.
    """
    if structure == "frame":
        if field_blocks is None:
            return
        np.multiply(vertical, 2, out=vertical, where=field_blocks)
        bottom: Mask | bool = _bottom(len(vertical))
    else:
        vertical *= 2
        bottom = structure == "bottom"
    if crosses is not None:
        vertical += np.where(crosses, np.where(bottom, np.float32(1), np.float32(-1)), np.float32(0))


def rows_in_frame_order(
    array: npt.NDArray[Scalar], field_blocks: npt.NDArray[np.bool_] | None
) -> npt.NDArray[Scalar]:
    """Interleave the block rows of the two field macroblocks of a pair.

    The two field macroblocks of a pair cover the same 32 lines: block row k of each covers lines 8k to
    8k + 7. The top field's goes to row 2k of the pair's eight, the bottom field's to row 2k + 1.

    Args:
        array: [..., H4, W4] as coded.
        field_blocks: bool [H4, W4], or None if there are none.

    Returns:
        [..., H4, W4].
    """
    if field_blocks is None:
        return array
    rows = np.arange(array.shape[-2])
    pair, row = rows // (2 * _MACROBLOCK), rows % (2 * _MACROBLOCK)
    source = pair * 2 * _MACROBLOCK + row % 2 * _MACROBLOCK + row // 2
    return np.where(field_blocks, array[..., source, :], array)
