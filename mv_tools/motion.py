"""The motion field of one picture, as it stands in the bitstream.

Conventions, used by every backend:

* the grid is the 4x4 luma block grid of the coded (uncropped) picture,
  ``H4 = coded_height / 4`` rows and ``W4 = coded_width / 4`` columns;
* list 0 is RefPicList0 (for MPEG-4 Part 2: the forward reference), list 1 is RefPicList1;
* a vector points *from the block to its prediction in the reference*, in quarter luma
  samples, x to the right and y down (ITU-T H.264, 8.4.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .blocks import blocks_from_grid
from .syntax import PictType, Structure

__all__ = ["UNUSED_POC", "MotionFrame", "PictType", "Structure", "flow", "inter_mask"]

UNUSED_POC: Final = -(2**31)
"""Value of ``MotionFrame.ref_poc`` where a list is not used."""


def _check(name: str, array: npt.NDArray[Any], dtype: type, shape: tuple[int, ...]) -> None:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, got {type(array).__name__}")
    if array.dtype != np.dtype(dtype):
        raise TypeError(f"{name} must have dtype {np.dtype(dtype)}, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class MotionFrame:
    """Motion of one picture. Arrays are checked on construction and made read-only.

    Attributes:
        index: position in presentation order, from 0.
        decode_index: position in decoding order, from 0.
        frame_index: number of the frame that the picture belongs to, as RGB pictures are numbered; the
            two fields of a frame share it. Taken as `index` if it is not given.
        pts_seconds: presentation time in seconds, or None if the container has none.
        pict_type: "I", "P" or "B" ("B" if the picture has any B slice).
        is_keyframe: whether decoding can start here.
        structure: "frame", or "top"/"bottom" for a field picture.
        poc: PicOrderCnt relative to the last IDR picture, None if the backend can't know.
        mv: int16 [2, H4, W4, 2], (list, row, column, (x, y)), quarter samples; 0 where unused.
        ref_idx: int8 [2, H4, W4], -1 where unused.
        ref_poc: int32 [2, H4, W4] in the scale of `poc`, ``UNUSED_POC`` where unused, or None.
        poc_interval: PicOrderCnt units per frame interval, or None.
        assumed_distance: for backends without `ref_poc`: frame intervals from this picture back
            to its list-0 reference and on to its list-1 reference, taken as the nearest I or P
            picture on each side. Exact for MPEG-4 Part 2 and for H.264 with one reference.
        exported: the backend's own block table, int32 [N, 10], where it has one.

    Raises:
        TypeError: an array has another dtype.
        ValueError: an array has another shape, or a field an impossible value.
    """

    index: int
    decode_index: int
    pts_seconds: float | None
    pict_type: PictType
    is_keyframe: bool
    mv: npt.NDArray[np.int16]
    ref_idx: npt.NDArray[np.int8]
    ref_poc: npt.NDArray[np.int32] | None = None
    frame_index: int = -1
    structure: Structure = "frame"
    poc: int | None = None
    poc_interval: int | None = None
    assumed_distance: tuple[float, float] | None = None
    exported: npt.NDArray[np.int32] | None = field(default=None)

    def __post_init__(self) -> None:
        if self.pict_type not in ("I", "P", "B"):
            raise ValueError(f"pict_type must be 'I', 'P' or 'B', got {self.pict_type!r}")
        if self.structure not in ("frame", "top", "bottom"):
            raise ValueError(f"structure must be 'frame', 'top' or 'bottom', got {self.structure!r}")
        if self.index < 0 or self.decode_index < 0:
            raise ValueError(f"index and decode_index start at 0, got {self.index}, {self.decode_index}")
        if getattr(self.mv, "ndim", 0) != 4:
            raise ValueError(f"mv must have shape [2, H4, W4, 2], got {getattr(self.mv, 'shape', None)}")
        if self.frame_index < 0:
            object.__setattr__(self, "frame_index", self.index)
        height, width = self.mv.shape[1:3]
        _check("mv", self.mv, np.int16, (2, height, width, 2))
        _check("ref_idx", self.ref_idx, np.int8, (2, height, width))
        if self.ref_poc is not None:
            _check("ref_poc", self.ref_poc, np.int32, (2, height, width))
        if self.exported is not None:
            _check("exported", self.exported, np.int32, (len(self.exported), 10))
        for array in (self.mv, self.ref_idx, self.ref_poc, self.exported):
            if array is not None:
                array.setflags(write=False)

    @classmethod
    def trusted(cls, **fields: Any) -> MotionFrame:
        """A frame of read-only arrays that need no check: the parser made them."""
        frame = object.__new__(cls)
        frame.__dict__.update(fields)
        return frame

    def __repr__(self) -> str:
        share = float(inter_mask(self).mean()) if self.mv.size else 0.0
        return (
            f"MotionFrame(index={self.index}, decode_index={self.decode_index}, {self.pict_type}"
            f"{', keyframe' if self.is_keyframe else ''}, {self.structure}, poc={self.poc}, "
            f"mv={self.mv.dtype}{list(self.mv.shape)}, inter={share:.0%})"
        )

    @property
    def grid_shape(self) -> tuple[int, int]:
        """(H4, W4), the size of the 4x4 block grid."""
        return int(self.mv.shape[1]), int(self.mv.shape[2])

    def to_blocks(self) -> npt.NDArray[np.int32]:
        """The field as mv-extractor's table.

        Returns:
            int32 [N, 10]: source (-1 list 0, +1 list 1), w, h, src_x, src_y, dst_x, dst_y,
            motion_x, motion_y, motion_scale. ``src`` and ``dst`` are block centres in samples,
            ``motion / motion_scale`` is the vector in samples. Backends built on libavcodec hand
            on its rows as they are; otherwise equal neighbours are joined into the largest
            partition of their macroblock that fits.
        """
        if self.exported is not None:
            return self.exported.copy()
        return blocks_from_grid(self.mv, self.ref_idx)


def inter_mask(frame: MotionFrame) -> npt.NDArray[np.bool_]:
    """Which 4x4 blocks are inter predicted: bool [H4, W4]."""
    return np.asarray((frame.ref_idx[0] >= 0) | (frame.ref_idx[1] >= 0))


def _distances(frame: MotionFrame, first: npt.NDArray[np.bool_], normalize: bool) -> npt.NDArray[np.float32]:
    """Frame intervals from the reference to this picture, [H4, W4]; negative if it is later.

    Args:
        frame: motion of one picture.
        first: where list 0 counts, bool [H4, W4]; elsewhere list 1 does.
        normalize: False for the sign alone.
    """
    if frame.ref_poc is not None and frame.poc is not None:
        # Where neither list is used the vector counts as 0; this number is any but 0.
        delta = frame.poc - np.where(first, frame.ref_poc[0], frame.ref_poc[1])
        distance: npt.NDArray[np.float32] = delta.astype(np.float32)
        distance /= np.float32(frame.poc_interval or 2)
        same = delta == 0
        if same.any():  # the two fields of one frame may share a PicOrderCnt: half an interval apart
            distance[same] = np.where(first[same], np.float32(0.5), np.float32(-0.5))
        if not normalize:
            np.sign(distance, out=distance)
        return distance
    before, after = frame.assumed_distance if normalize and frame.assumed_distance else (1.0, 1.0)
    return np.where(first, np.float32(before), np.float32(-after))


def flow(frame: MotionFrame, *, normalize: bool = True) -> npt.NDArray[np.float32]:
    """Dense motion of the content that arrives at each block.

    List 0 where the block uses it, else list 1. The vector is turned around (from the reference
    to the block), so content that moves right has positive x, and is divided by the distance to
    the reference, so that its unit is one frame interval whatever the picture refers to.

    Args:
        frame: motion of one picture.
        normalize: divide by the distance to the reference where the backend knows or assumes
            it (see ``MotionFrame.assumed_distance``); False keeps the coded length.

    Returns:
        float32 [2, H4, W4]: (x, y) in pixels per frame interval; 0 for intra blocks.
    """
    first = frame.ref_idx[0] >= 0
    pairs = np.ascontiguousarray(frame.mv).view(np.int32)[..., 0]  # (x, y) as one number
    chosen = np.where(first, pairs[0], pairs[1])
    chosen *= inter_mask(frame)
    out = np.empty((2, *frame.grid_shape), np.float32)
    np.multiply(np.moveaxis(chosen[..., None].view(np.int16), -1, 0), np.float32(-0.25), out=out)
    out /= _distances(frame, first, normalize)
    return out
