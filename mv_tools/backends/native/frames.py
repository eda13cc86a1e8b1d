"""Motion frames made from parsed pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...display import SQUARE, Display
from ...motion import MotionFrame

if TYPE_CHECKING:
    from ..._native import Picture, PictureInfo

__all__ = ["FrameBuilder", "field_attributes"]


@dataclass(frozen=True)
class FrameBuilder:
    """Makes motion frames of parsed pictures.

    Attributes:
        decode_rank: int64 [N], position in decoding order of each presented picture.
        frame_of: int64 [N], the frame that each presented picture belongs to.
        seconds: float64, time of each frame; None if the file has none.
        poc_interval: difference in PicOrderCnt between consecutive frames.
        display: how pictures are shown.
    """

    decode_rank: npt.NDArray[np.int64]
    frame_of: npt.NDArray[np.int64]
    seconds: npt.NDArray[np.float64] | None
    poc_interval: int
    display: Display

    def build(self, picture: Picture, info: PictureInfo, index: int) -> MotionFrame:
        """The frame of a picture with presentation index `index`; its arrays are those of the parser."""
        frame, display = int(self.frame_of[index]), self.display
        return MotionFrame.trusted(
            index=index,
            decode_index=int(self.decode_rank[index]),
            frame_index=frame,
            pts_seconds=None if self.seconds is None else float(self.seconds[frame]),
            pict_type=info.pict_type,
            is_keyframe=info.keyframe,
            structure=info.structure,
            poc=info.poc,
            poc_interval=self.poc_interval,
            orientation=display.orientation,
            sample_aspect_ratio=display.sample_aspect_ratio or SQUARE,
            **field_attributes(picture, info),
            mv=picture.mv,
            ref_idx=picture.ref_idx,
            ref_poc=picture.ref_poc,
        )


def field_attributes(picture: Picture, info: PictureInfo) -> dict[str, Any]:
    """Attributes of :class:`MotionFrame` that only pictures with fields have."""
    if info.structure != "frame":
        return {"other_parity": picture.other_parity}
    mask = picture.field_mask
    if mask is None:
        return {}
    blocks = mask.repeat(4, axis=0).repeat(4, axis=1)
    blocks.setflags(write=False)
    return {"field_blocks": blocks, "field_poc": info.field_poc}
