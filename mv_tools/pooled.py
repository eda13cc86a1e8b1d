"""Flow averaged over the cells of a grid, picture by picture."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .backends.native.parsed_frame import ParsedMotionFrame
from .display import Display, Orientation, Region
from .motion import MotionFrame, flow, inter_mask
from .pictures.native_headers import native_available
from .raster import area_shares, checked_grid, pool

if TYPE_CHECKING:
    from ._native import Pooler

__all__ = ["FlowPooler"]

RegionOf = Callable[[tuple[int, int]], Region]


class FlowPooler:
    """``pool(flow(frame), grid)`` of many pictures, bit for bit.

    The native module pools pictures that it parsed, without arrays of the whole picture, and frames of other
    backends, up to ten times faster than NumPy, which pools the rest.

    Args:
        grid: (rows, columns) of the results.
        region: gives the part of an upright grid of (rows, columns) that the picture covers, such as
            ``VideoMetadata.region``; the whole coded picture by default.
        normalize: see :func:`mv_tools.flow`.

    Raises:
        ArgumentError: `grid` is not two positive whole numbers, or has too many cells.

    Example:
        >>> pooler = FlowPooler((24, 32), region=decoder.metadata.region)   # doctest: +SKIP
        >>> pooler.flow(decoder[10]).shape                                  # doctest: +SKIP
        (2, 24, 32)
    """

    def __init__(
        self, grid: tuple[int, int], *, region: RegionOf | None = None, normalize: bool = True
    ) -> None:
        self._grid, self._normalize = checked_grid(grid), normalize
        self._region_of = region or (lambda shape: Region(0.0, 0.0, float(shape[0]), float(shape[1])))
        self._regions: dict[tuple[int, int], Region] = {}
        self._last: tuple[Any, ...] = ()  # what the native pooler was made for
        self._pooler: Pooler | None = None

    def flow(self, frame: MotionFrame) -> npt.NDArray[np.float32]:
        """Mean of :func:`mv_tools.flow` per cell: float32 [2, rows, columns], pixels per frame interval."""
        if isinstance(frame, ParsedMotionFrame) and frame.picture is not None:
            return self._native(frame).flow(frame.parse(), frame.poc_interval or 0)
        if _has_plain_arrays(frame):
            before, after = frame.assumed_distance or (1, 1)
            mv, ref_idx = np.ascontiguousarray(frame.mv), np.ascontiguousarray(frame.ref_idx)
            return self._native(frame).flow_of_arrays(mv, ref_idx, (int(before), int(after)))
        field = flow(frame, normalize=self._normalize)
        return pool(field, self._grid, region=self._region(field.shape[1:]))

    def inter(self, frame: MotionFrame) -> npt.NDArray[np.float32]:
        """Mean of :func:`mv_tools.inter_mask`: each cell's share inter predicted, float32 [rows, columns]."""
        if isinstance(frame, ParsedMotionFrame) and frame.picture is not None:
            return self._native(frame).inter(frame.parse())
        mask = inter_mask(frame).astype(np.float32)[None]
        return np.asarray(pool(mask, self._grid, region=self._region(mask.shape[1:]))[0])

    def _region(self, shape: tuple[int, ...]) -> Region:
        rows, columns = shape
        if (rows, columns) not in self._regions:
            self._regions[rows, columns] = self._region_of((rows, columns))
        return self._regions[rows, columns]

    def _native(self, frame: MotionFrame) -> Pooler:
        """The native pooler for pictures like this one."""
        asked = (frame.grid_shape, frame.orientation, frame.sample_aspect_ratio)
        if self._pooler is None or asked != self._last:
            height, width = frame.orientation.size(*frame.grid_shape)
            aspect = Display(frame.orientation, frame.sample_aspect_ratio).upright_aspect
            region = self._region((height, width))
            self._pooler = _native_pooler(
                (height, width), self._grid, region, frame.orientation, float(aspect), self._normalize
            )
            self._last = asked
        return self._pooler


def _has_plain_arrays(frame: MotionFrame) -> bool:
    """Whether the native module can pool a frame from its arrays."""
    if frame.ref_poc is not None or frame.structure != "frame" or frame.field_blocks is not None:
        return False
    whole = all(float(distance).is_integer() for distance in frame.assumed_distance or ())
    return whole and frame.other_parity is None and native_available()


@lru_cache(maxsize=64)
def _native_pooler(
    shape: tuple[int, int],
    grid: tuple[int, int],
    region: Region,
    orientation: Orientation,
    aspect: float,
    normalize: bool,
) -> Pooler:
    """A pooler of upright grids of one shape."""
    from ._native import Pooler

    a, b, c, d = orientation.linear
    axes = zip(shape, (region.top, region.left), (region.rows, region.columns), grid, strict=True)
    rows, columns = ((cells, *_stacked(cells, start, extent, parts)) for cells, start, extent, parts in axes)
    turn = (orientation.swaps_sides, a + c < 0, b + d < 0)
    return Pooler(rows, columns, turn=turn, aspect=aspect, normalize=normalize)


def _stacked(
    cells: int, start: float, extent: float, parts: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The cell and its share of each part, [steps, parts] each."""
    cell, share = zip(*area_shares(cells, start, extent, parts), strict=True)
    return np.stack(cell).astype(np.int64), np.stack(share)
