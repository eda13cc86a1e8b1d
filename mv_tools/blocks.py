"""Conversion between block tables, as libavcodec exports them, and the 4x4 grid."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["BLOCK_COLUMNS", "blocks_from_grid", "grid_from_blocks"]

BLOCK_COLUMNS: Final = (
    *("source", "w", "h", "src_x", "src_y", "dst_x", "dst_y"),
    *("motion_x", "motion_y", "motion_scale"),
)
"""Columns of a block table: libavcodec's AVMotionVector without its flags."""

# Macroblock partitions from the largest to the smallest, (width, height) in 4x4 blocks
# (H.264, tables 7-13, 7-14, 7-17 and 7-18).
_PARTITIONS: Final = ((4, 4), (4, 2), (2, 4), (2, 2), (2, 1), (1, 2), (1, 1))


def grid_from_blocks(
    table: npt.NDArray[np.int32], grid_shape: tuple[int, int], *, bipredictive: bool
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int8]]:
    """Rasterise a block table.

    For macroblocks of B pictures that are split into partitions, libavcodec exports a zero vector for each
    partition that does not use a list which another partition uses. Where a block of such a macroblock
    has a zero vector in one list and another vector in the other, the zero is left out as such a phantom.

    Args:
        table: int32 [N, 10], columns ``BLOCK_COLUMNS``.
        grid_shape: (H4, W4).
        bipredictive: whether it is a B picture.

    Returns:
        (mv, ref_idx): int16 [2, H4, W4, 2] in quarter samples, int8 [2, H4, W4] (0 where used,
        -1 elsewhere). Blocks outside the grid are clipped to it.
    """
    rows, columns = grid_shape
    mv = np.zeros((2, rows, columns, 2), np.int16)
    ref_idx = np.full((2, rows, columns), -1, np.int8)
    if len(table) == 0:
        return mv, ref_idx
    scale = np.where(table[:, 9] > 0, table[:, 9], 4)[:, None]
    quarter = np.clip(table[:, 7:9] * 4 // scale, -(2**15), 2**15 - 1).astype(np.int16)
    vectors = np.ascontiguousarray(quarter).view(np.int32)[:, 0]
    flat_mv, flat_ref = mv.view(np.int32).reshape(-1), ref_idx.reshape(-1)
    partitioned = np.zeros(rows * columns, bool)
    sizes = table[:, 1] * 4096 + table[:, 2]
    for size in np.unique(sizes).tolist():
        width, height = divmod(size, 4096)
        blocks = np.flatnonzero(sizes == size)
        top = (table[blocks, 6] - height // 2) >> 2
        left = (table[blocks, 5] - width // 2) >> 2
        y = top[:, None, None] + np.arange(max(1, height // 4))[:, None]
        x = left[:, None, None] + np.arange(max(1, width // 4))
        inside = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
        cell = y * columns + x
        target = cell + (table[blocks, 0] > 0)[:, None, None] * (rows * columns)
        values = np.broadcast_to(vectors[blocks, None, None], inside.shape)
        if not inside.all():
            target, values, cell = target[inside], values[inside], cell[inside]
        flat_mv[target] = values
        flat_ref[target] = 0
        if width * height < 256:  # less than a macroblock
            partitioned[cell] = True
    if bipredictive:
        _drop_phantoms(mv, ref_idx, partitioned.reshape(rows, columns))
    return mv, ref_idx


def _drop_phantoms(
    mv: npt.NDArray[np.int16], ref_idx: npt.NDArray[np.int8], partitioned: npt.NDArray[np.bool_]
) -> None:
    """Leave out zero vectors of partitioned macroblocks whose other list moves, in place."""
    both = partitioned & (ref_idx[0] >= 0) & (ref_idx[1] >= 0)
    moving = (mv != 0).any(axis=-1)
    for one, other in ((0, 1), (1, 0)):
        ref_idx[one][both & ~moving[one] & moving[other]] = -1


def _uniform(grid: npt.NDArray[Any], width: int, height: int) -> npt.NDArray[np.bool_]:
    """Which width x height cells hold a single value: bool [rows / height, columns / width]."""
    rows, columns = grid.shape[:2]
    cells = grid.reshape(rows // height, height, columns // width, width, -1)
    return np.asarray((cells == cells[:, :1, :, :1]).all(axis=(1, 3, 4)))


def blocks_from_grid(mv: npt.NDArray[np.int16], ref_idx: npt.NDArray[np.int8]) -> npt.NDArray[np.int32]:
    """Inverse of :func:`grid_from_blocks`: join equal neighbours within each macroblock.

    Args:
        mv: int16 [2, H4, W4, 2].
        ref_idx: int8 [2, H4, W4]; H4 and W4 multiples of 4 (whole macroblocks).

    Returns:
        int32 [N, 10], ordered by list, then by the position of the block's centre.

    Raises:
        ValueError: the grid does not consist of whole macroblocks.
    """
    rows, columns = mv.shape[1:3]
    if rows % 4 or columns % 4:
        raise ValueError(f"the grid must hold whole macroblocks (multiples of 4), got {rows}x{columns}")
    tables = []
    for source, motion, ref in ((-1, mv[0], ref_idx[0]), (1, mv[1], ref_idx[1])):
        state = np.concatenate([motion, ref[..., None].astype(np.int16)], axis=-1)
        free = ref >= 0
        for width, height in _PARTITIONS:
            fits = _uniform(state, width, height)
            open_cells = free.reshape(rows // height, height, columns // width, width).all(axis=(1, 3))
            y, x = np.nonzero(fits & open_cells)
            for dy in range(height):
                for dx in range(width):
                    free[y * height + dy, x * width + dx] = False
            vectors = motion[y * height, x * width].astype(np.int32)
            dst_x = x * 4 * width + 2 * width
            dst_y = y * 4 * height + 2 * height
            # libavcodec truncates the source position towards zero.
            src = np.stack([dst_x, dst_y], axis=1) + np.trunc(vectors / 4).astype(np.int32)
            full = np.full(len(y), 1, np.int32)
            tables.append(
                np.column_stack(
                    [source * full, 4 * width * full, 4 * height * full, src, dst_x, dst_y, vectors, 4 * full]
                ).astype(np.int32)
            )
    table = np.concatenate(tables)
    return table[np.lexsort((table[:, 5], table[:, 6], table[:, 0]))]
