"""Motion frames made from parsed pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...display import SQUARE, Display
from ...motion import MotionFrame
from .parsed_frame import ParsedMotionFrame
from .presentation import PresentedPictures

if TYPE_CHECKING:
    from ..._native import Picture, PictureInfo

__all__ = ["FrameBuilder"]


class FrameBuilder:
    """Makes motion frames of parsed pictures.

    Args:
        presented: the pictures of the stream.
        display: how they are shown.
    """

    def __init__(self, presented: PresentedPictures, display: Display) -> None:
        seconds = presented.pictures.seconds
        # Arrays: lists of numbers would take a tenth of the memory of a long stream's index.
        self._decode_index = presented.decode_rank
        self._frame_of = presented.frame_of
        self._seconds = seconds
        self._poc_interval = presented.index.poc_interval()
        self._display = display

    def build(self, picture: Picture, info: PictureInfo, index: int) -> MotionFrame:
        """The frame of a picture with presentation index `index`; its arrays are those of the parser."""
        frame, display = int(self._frame_of[index]), self._display
        return ParsedMotionFrame.of(
            picture,
            index=index,
            decode_index=int(self._decode_index[index]),
            frame_index=frame,
            pts_seconds=None if self._seconds is None else float(self._seconds[frame]),
            pict_type=info.pict_type,
            is_keyframe=info.keyframe,
            structure=info.structure,
            poc=info.poc,
            poc_interval=self._poc_interval,
            orientation=display.orientation,
            sample_aspect_ratio=display.sample_aspect_ratio or SQUARE,
        )
