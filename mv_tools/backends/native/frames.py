"""Motion frames made from parsed pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...display import SQUARE, Display
from ...motion import MotionFrame
from .parsed_frame import ParsedMotionFrame

if TYPE_CHECKING:
    from ..._native import Picture, PictureInfo

__all__ = ["FrameBuilder"]


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
        return ParsedMotionFrame.of(
            picture,
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
        )
