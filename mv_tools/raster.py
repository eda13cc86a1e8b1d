"""From the 4x4 block grid to dense pictures and to smaller grids."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["pool", "to_dense"]


def to_dense(flow: npt.NDArray[np.float32], width: int, height: int) -> npt.NDArray[np.float32]:
    """Spread a block field over the pixels of the picture as shown.

    Args:
        flow: float32 [2, H4, W4].
        width, height: of the shown picture; rows and columns beyond it are cropped away.

    Returns:
        float32 [height, width, 2].

    Raises:
        ValueError: the grid does not cover the picture.
    """
    rows, columns = flow.shape[1:]
    if rows * 4 < height or columns * 4 < width:
        raise ValueError(f"a {rows}x{columns} grid of 4x4 blocks does not cover {width}x{height} pixels")
    dense = flow.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]
    return np.ascontiguousarray(np.moveaxis(dense, 0, -1))


@lru_cache(maxsize=64)
def _weights(cells: int, extent: float, out: int) -> npt.NDArray[np.float32]:
    """Share of each of `cells` unit cells in each of `out` equal parts of [0, extent]."""
    edges = np.linspace(0.0, extent, out + 1)
    low = np.maximum(edges[:-1, None], np.arange(cells)[None, :])
    high = np.minimum(edges[1:, None], np.arange(1, cells + 1)[None, :])
    share = np.clip(high - low, 0.0, None)
    return np.asarray(share / (extent / out), np.float32)


def pool(
    flow: npt.NDArray[np.float32],
    grid: tuple[int, int],
    *,
    width: int | None = None,
    height: int | None = None,
) -> npt.NDArray[np.float32]:
    """Average a block field over the cells of another grid, by exact area.

    Vectors keep their length in pixels. A grid finer than the blocks repeats them.

    Args:
        flow: float32 [C, H4, W4].
        grid: (rows, columns) of the result.
        width, height: of the picture as shown, in pixels; by default the whole coded picture.

    Returns:
        float32 [C, rows, columns].
    """
    rows, columns = flow.shape[1:]
    high = rows if height is None else min(rows, height / 4)
    wide = columns if width is None else min(columns, width / 4)
    down = _weights(rows, float(high), grid[0])
    across = _weights(columns, float(wide), grid[1])
    return np.asarray(down @ flow @ across.T, np.float32)
