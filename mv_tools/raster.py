"""Resampling of motion fields: to the pixels of the picture and to other grids."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from .display import Region
from .errors import ArgumentError

__all__ = ["area_shares", "checked_field", "checked_grid", "pool", "to_dense"]

_MAX_CELLS: Final = 2**26
"""Cells of the largest grid: more than a picture of 16,384 x 16,384 pixels has blocks."""


def checked_grid(grid: Any) -> tuple[int, int]:
    """The grid as (rows, columns).

    Raises:
        ArgumentError: it is not two positive whole numbers, or has too many cells.
    """
    values = tuple(grid) if isinstance(grid, tuple | list | np.ndarray) else ()
    if len(values) != 2 or not all(_is_count(n) for n in values):
        raise ArgumentError(f"grid must be two positive whole numbers, rows and columns, got {grid!r}")
    rows, columns = map(int, values)
    if rows * columns > _MAX_CELLS:
        raise ArgumentError(f"grid must have at most {_MAX_CELLS:,} cells, got {rows} x {columns}")
    return rows, columns


def _is_count(number: Any) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool) and int(number) >= 1


def checked_field(field: Any) -> npt.NDArray[np.float32]:
    """The field, if it has components, rows and columns.

    Raises:
        ArgumentError: it has not, or has no cell.
    """
    array = np.asarray(field)
    if array.ndim != 3 or not array.size or array.dtype.kind not in "fiub":
        raise ArgumentError(
            "a motion field must be an array of numbers [components, rows, columns], "
            f"got one of {array.dtype} with shape {array.shape}"
        )
    return array


def to_dense(
    flow: npt.NDArray[np.float32], width: int, height: int, region: Region | None = None
) -> npt.NDArray[np.float32]:
    """Spread a block field over the pixels of the picture as shown.

    Args:
        flow: float32 [2, H4, W4].
        width: of the picture as shown, in pixels.
        height: likewise.
        region: the part of the grid that the picture covers; by default cells of 4x4 pixels from the upper
            left corner on, and cells beyond the picture are cropped.

    Returns:
        float32 [height, width, 2].

    Raises:
        ArgumentError: the grid does not cover the picture, or one of them is empty.
    """
    flow = checked_field(flow)
    rows, columns = flow.shape[1:]
    if width < 1 or height < 1:
        raise ArgumentError(f"width and height must be at least 1, got {width} and {height}")
    if region is not None:
        y = region.top + (np.arange(height) + 0.5) * (region.rows / height)
        x = region.left + (np.arange(width) + 0.5) * (region.columns / width)
        row, column = np.minimum(y.astype(np.intp), rows - 1), np.minimum(x.astype(np.intp), columns - 1)
        return np.ascontiguousarray(np.moveaxis(flow[:, row[:, None], column], 0, -1))
    if rows * 4 < height or columns * 4 < width:
        raise ArgumentError(f"a {rows}x{columns} grid of 4x4 blocks does not cover {width}x{height} pixels")
    dense = flow.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]
    return np.ascontiguousarray(np.moveaxis(dense, 0, -1))


_Shares: TypeAlias = tuple[tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]], ...]


@lru_cache(maxsize=64)
def area_shares(cells: int, start: float, extent: float, parts: int) -> _Shares:
    """Which of `cells` unit cells lie in each of `parts` equal parts of [start, start + extent], with shares.

    Returns:
        (cell [parts], share [parts]) for the first cell of each part, the second, and so on.
    """
    edges = np.linspace(start, start + extent, parts + 1)
    first = np.floor(edges[:-1]).astype(np.intp)
    steps = []
    for step in range(int((np.ceil(edges[1:]) - first).max())):
        cell = first + step
        covered = np.minimum(edges[1:], cell + 1) - np.maximum(edges[:-1], cell)
        share = np.clip(covered, 0.0, None) / (extent / parts)
        steps.append((np.minimum(cell, cells - 1), share.astype(np.float32)))
    return tuple(steps)


def pool(
    flow: npt.NDArray[np.float32],
    grid: tuple[int, int],
    *,
    width: int | None = None,
    height: int | None = None,
    region: Region | None = None,
) -> npt.NDArray[np.float32]:
    """Average a block field over the cells of another grid, by exact area.

    Vectors keep their length in pixels. A grid finer than the blocks repeats them.

    Args:
        flow: float32 [C, H4, W4].
        grid: (rows, columns) of the result.
        width: of the picture as shown, in pixels, for cells of 4x4 pixels and cropping on the right; by
            default the whole coded picture.
        height: likewise, cropping below.
        region: instead, the part of the grid that the picture covers, in cells.

    Returns:
        float32 [C, rows, columns].

    Raises:
        ArgumentError: `flow` is no field, or `grid` is no grid.
    """
    flow = checked_field(flow)
    rows, columns = flow.shape[1:]
    grid = checked_grid(grid)
    if any(side is not None and side < 1 for side in (width, height)):
        raise ArgumentError(f"width and height must be at least 1, got {width} and {height}")
    if region is None:
        covered_rows = rows if height is None else min(rows, height / 4)
        covered_columns = columns if width is None else min(columns, width / 4)
        region = Region(0.0, 0.0, float(covered_rows), float(covered_columns))
    pooled = _weighted_sums(flow, area_shares(rows, region.top, region.rows, grid[0]))
    shares = area_shares(columns, region.left, region.columns, grid[1])
    return _weighted_sums(pooled.swapaxes(1, 2), shares).swapaxes(1, 2)


def _weighted_sums(field: npt.NDArray[np.float32], shares: _Shares) -> npt.NDArray[np.float32]:
    """Weighted sums over axis 1.

    Not a matrix product: BLAS rounds differently on each machine, and its threads compete with others.
    """
    (cell, share), *rest = shares
    sums = field[:, cell] * share[:, None]
    for cell, share in rest:
        sums += field[:, cell] * share[:, None]
    return np.asarray(sums, np.float32)
