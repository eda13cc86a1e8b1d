"""Motion frames of parsed pictures, with their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..backends.native.parsed_frame import ParsedMotionFrame
from ..display import SQUARE, Display
from .coded_frame import ParsedFrame, ParsedPicture

if TYPE_CHECKING:
    from ..motion import MotionFrame
    from .output_order import PocInterval

__all__ = ["NumberedFrames"]


class NumberedFrames:
    """Makes motion frames of pictures, which are counted in the order in which they are added.

    Args:
        display: how pictures are shown; a sample aspect ratio of the stream holds where it has none.
        interval: PicOrderCnt from frame to frame, as far as it is known when a frame is released.
        first_index: where `index` and `frame_index` begin.

    Attributes:
        next_index: behind the indices given out so far.
        frame_index: of the frame given out last.
    """

    def __init__(self, display: Display, interval: PocInterval, first_index: int) -> None:
        self._display, self._interval = display, interval
        self._shown = display  # with the aspect ratio that the stream gave last
        self._aspect: tuple[int, int] | None = None
        self._waiting: list[tuple[ParsedFrame, ParsedPicture]] = []
        self._last: ParsedFrame | None = None
        self.next_index, self.frame_index = first_index, first_index - 1

    def add(self, frame: ParsedFrame, pictures: Sequence[ParsedPicture]) -> None:
        """Add pictures of a frame, the next ones in order."""
        self._waiting += [(frame, parsed) for parsed in pictures]

    def release(self) -> list[MotionFrame]:
        """The frames that were added since the last call."""
        waiting, self._waiting = self._waiting, []
        return [self._motion_frame(frame, parsed) for frame, parsed in waiting]

    def _motion_frame(self, frame: ParsedFrame, parsed: ParsedPicture) -> MotionFrame:
        if frame is not self._last:
            self.frame_index += 1
            self._last = frame
        info = parsed.info
        if info.sar != self._aspect:
            self._aspect, self._shown = info.sar, self._display.with_aspect(info.sar)
        display = self._shown
        index, self.next_index = self.next_index, self.next_index + 1
        return ParsedMotionFrame.of(
            parsed.picture,
            index=index,
            decode_index=parsed.decode_index,
            frame_index=self.frame_index,
            pts_seconds=frame.seconds,
            pict_type=info.pict_type,
            is_keyframe=info.keyframe,
            structure=info.structure,
            poc=info.poc,
            poc_interval=self._interval.value,
            orientation=display.orientation,
            sample_aspect_ratio=display.sample_aspect_ratio or SQUARE,
        )
