"""The motion field of one picture as coded in the bitstream, and as a player shows it.

Conventions, used by every backend:

* the grid is the 4x4 luma block grid of the coded (uncropped) picture,
  ``H4 = coded_height / 4`` rows and ``W4 = coded_width / 4`` columns;
* list 0 is RefPicList0 (for MPEG-4 Part 2: the forward reference), list 1 is RefPicList1;
* a vector points *from the block to its prediction in the reference*, in quarter luma
  samples, x to the right and y down (ITU-T H.264, 8.4.1).

``MotionFrame`` is as coded. :func:`flow` and :func:`inter_mask` follow the picture as a player shows it:
upright, in square pixels, and in lines of the frame where fields are coded.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .blocks import blocks_from_grid
from .display import SQUARE, UPRIGHT, Display, Orientation
from .display.fields import block_poc, rows_in_frame_order, to_frame_lines
from .stream_info import PictType, Structure

__all__ = ["UNUSED_POC", "MotionFrame", "PictType", "Structure", "cell_size", "flow", "inter_mask"]

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
        pts_seconds: presentation time in seconds as the container stores it, or None if it has none. Where
            recordings were joined it falls back, and ``MotionDecoder.times`` goes on.
        pict_type: "I", "P" or "B" ("B" if the picture has any B slice).
        is_keyframe: whether decoding can start here.
        structure: "frame", or "top"/"bottom" for a field picture.
        poc: PicOrderCnt relative to the last IDR picture, None if the backend does not parse it.
        mv: int16 [2, H4, W4, 2], (list, row, column, (x, y)), quarter samples; 0 where unused.
        ref_idx: int8 [2, H4, W4], -1 where unused.
        ref_poc: int32 [2, H4, W4] in the scale of `poc`, ``UNUSED_POC`` where unused, or None.
        poc_interval: PicOrderCnt units per frame interval, or None.
        assumed_distance: for frames without `ref_poc`: frame intervals from this picture back to its list-0
            reference and on to its list-1 reference. In MPEG-4 Part 2 the number of coded pictures (native
            backend); else that of the nearest I or P picture on each side, which is exact for H.264 with
            one reference.
        exported: libavcodec's block table, int32 [N, 10], for backends that read it.
        orientation: how the coded picture is turned to be upright.
        sample_aspect_ratio: width of a coded sample to its height.
        field_blocks: bool [H4, W4], the blocks of field macroblocks in an MBAFF frame: their vectors
            count lines of a field, and the upper and lower macroblock of a pair are its top and
            bottom field. None if there are none, or the backend does not parse them.
        other_parity: bool [2, H4, W4], where the reference is a field of the other parity than the
            block's own; None if no field is referred to, or the backend does not parse it.
        field_poc: PicOrderCnt of the (top, bottom) field of a frame, or None.

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
    exported: npt.NDArray[np.int32] | None = None
    orientation: Orientation = UPRIGHT
    sample_aspect_ratio: Fraction = SQUARE
    field_blocks: npt.NDArray[np.bool_] | None = None
    other_parity: npt.NDArray[np.bool_] | None = None
    field_poc: tuple[int | None, int | None] | None = None

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
        rows, columns = self.mv.shape[1:3]
        checks = (
            ("mv", self.mv, np.int16, (2, rows, columns, 2)),
            ("ref_idx", self.ref_idx, np.int8, (2, rows, columns)),
            ("ref_poc", self.ref_poc, np.int32, (2, rows, columns)),
            (
                "exported",
                self.exported,
                np.int32,
                (len(self.exported) if self.exported is not None else 0, 10),
            ),
            ("field_blocks", self.field_blocks, np.bool_, (rows, columns)),
            ("other_parity", self.other_parity, np.bool_, (2, rows, columns)),
        )
        for name, array, dtype, shape in checks:
            if array is not None:
                _check(name, array, dtype, shape)
                array.setflags(write=False)

    @classmethod
    def trusted(cls, **fields: Any) -> MotionFrame:
        """Make a frame without checks, from read-only arrays of the parser."""
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

    @property
    def deferred(self) -> bool:
        """Whether motion is parsed when it is first asked for, see :class:`mv_tools.MotionStream`."""
        return False

    def to_blocks(self) -> npt.NDArray[np.int32]:
        """The field as mv-extractor's table.

        Returns:
            int32 [N, 10]: source (-1 list 0, +1 list 1), w, h, src_x, src_y, dst_x, dst_y,
            motion_x, motion_y, motion_scale. ``src`` and ``dst`` are block centres in samples,
            ``motion / motion_scale`` is the vector in samples. Backends built on libavcodec return
            its rows unchanged; for others equal neighbours are joined into the largest partition of
            their macroblock that fits.
        """
        if self.exported is not None:
            return self.exported.copy()
        return blocks_from_grid(self.mv, self.ref_idx)


def _aspect(frame: MotionFrame) -> Fraction:
    """Width to height of a sample of the upright picture."""
    return Display(frame.orientation, frame.sample_aspect_ratio).upright_aspect


def cell_size(frame: MotionFrame) -> tuple[np.float32, np.float32]:
    """(height, width) of a cell of :func:`flow` in pixels of the picture as shown."""
    lines = 4 if frame.structure == "frame" else 8
    height, width = (4, lines) if frame.orientation.swaps_sides else (lines, 4)
    return np.float32(height), np.float32(width * _aspect(frame))


def inter_mask(frame: MotionFrame) -> npt.NDArray[np.bool_]:
    """Which 4x4 blocks are inter predicted, in the layout of :func:`flow`.

    Returns:
        bool [H4, W4] of the upright picture.
    """
    mask = (frame.ref_idx[0] >= 0) | (frame.ref_idx[1] >= 0)
    return np.asarray(frame.orientation.picture(rows_in_frame_order(mask, frame.field_blocks)))


def _crosses(frame: MotionFrame) -> npt.NDArray[np.bool_] | None:
    """Blocks of fields that refer to a field of other parity, bool [2, H4, W4]; None if none or unknown."""
    if frame.other_parity is not None or frame.field_blocks is None:
        return frame.other_parity
    return np.asarray((frame.ref_idx & 1).astype(bool) & frame.field_blocks)  # odd indices (H.264, 8.4.2.1)


def _distances(frame: MotionFrame, first: npt.NDArray[np.bool_], normalize: bool) -> npt.NDArray[np.float32]:
    """Frame intervals from the reference to this picture, [H4, W4]; negative if it is later.

    Args:
        frame: motion of one picture.
        first: bool [H4, W4], blocks whose list 0 is used; list 1 elsewhere.
        normalize: False for the sign alone.
    """
    if frame.ref_poc is not None and frame.poc is not None:
        # Where no list is used the vector is 0 and the distance any number but 0.
        delta = block_poc(frame.poc, frame.field_blocks, frame.field_poc) - np.where(
            first, frame.ref_poc[0], frame.ref_poc[1]
        )
        distance: npt.NDArray[np.float32] = delta.astype(np.float32)
        distance /= np.float32(frame.poc_interval or 2)
        same = delta == 0
        if same.any():  # two fields of a frame may share a PicOrderCnt; they are half an interval apart
            distance[same] = np.where(first[same], np.float32(0.5), np.float32(-0.5))
        if not normalize:
            np.sign(distance, out=distance)
        return distance
    before, after = frame.assumed_distance if normalize and frame.assumed_distance else (1.0, 1.0)
    second = ~first & (frame.ref_idx[1] >= 0)
    return np.where(second, np.float32(-after), np.float32(before))


def flow(frame: MotionFrame, *, normalize: bool = True) -> npt.NDArray[np.float32]:
    """Dense motion of the content that arrives at each block, as a player shows it.

    The vector of list 0 is taken where the block uses it, else that of list 1. It is reversed (from the
    reference to the block), so that content moving right has positive x, and divided by the distance to
    the reference, so that its unit is one frame interval whatever the picture refers to.

    The field is turned upright (``MotionFrame.orientation``) and its x scaled to square pixels; a cell
    stays a 4x4 block of the coded picture, so that its displayed width is 4 pixels times the upright sample
    aspect ratio. Vertical motion is in lines of the frame: vectors of field macroblocks and of field
    pictures count twice, and between fields of different parity one line is added or subtracted, the
    distance of their lines. A cell of a field picture is 8 lines high. Block rows of the two field
    macroblocks of a pair are interleaved.

    Args:
        frame: motion of one picture.
        normalize: divide by the distance to the reference, known or assumed (see
            ``MotionFrame.assumed_distance``); False keeps the coded length.

    Returns:
        float32 [2, H4, W4] of the upright picture: (x, y) in pixels per frame interval; 0 for intra blocks.
    """
    first = frame.ref_idx[0] >= 0
    pairs = np.ascontiguousarray(frame.mv).view(np.int32)[..., 0]  # (x, y) as one number
    vectors = np.where(first, pairs[0], pairs[1])
    used = first | (frame.ref_idx[1] >= 0)
    vectors *= used
    field = np.empty((2, *frame.grid_shape), np.float32)
    np.multiply(np.moveaxis(vectors[..., None].view(np.int16), -1, 0), np.float32(-0.25), out=field)
    crosses = _crosses(frame)
    if crosses is not None:
        crosses = np.where(first, crosses[0], crosses[1]) & used
    to_frame_lines(field[1], crosses, frame.structure, frame.field_blocks)
    field /= _distances(frame, first, normalize)
    field = frame.orientation.field(rows_in_frame_order(field, frame.field_blocks))
    aspect = _aspect(frame)
    if aspect != 1:
        field[0] *= np.float32(aspect)
    return field
