"""Pictures of keyframe packets, decoded alone."""

from __future__ import annotations

from dataclasses import dataclass

import av.error
import numpy as np
import numpy.typing as npt
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext

from ..display import Display

__all__ = ["KeyframeDecoder", "LivePicture"]


@dataclass(frozen=True)
class LivePicture:
    """A decoded keyframe.

    Attributes:
        seconds: when it is shown, on the clock of the motion frames.
        rgb: uint8 [H, W, 3], as a player shows it.
    """

    seconds: float
    rgb: npt.NDArray[np.uint8]


class KeyframeDecoder:
    """Decodes keyframe packets; each on its own, so that no other packet is decoded.

    Args:
        codec, extradata: of the stream.
        interval: seconds; a keyframe sooner after the last one decoded is left out.
    """

    def __init__(self, codec: str, extradata: bytes | None, interval: float) -> None:
        context = CodecContext.create(codec, "r")
        assert isinstance(context, VideoCodecContext)
        context.thread_count = 1
        if extradata is not None:
            context.extradata = extradata
        self._context = context
        self._interval = interval
        self._last: float | None = None

    def decode(self, data: bytes, seconds: float, display: Display) -> LivePicture | None:
        """The picture of a keyframe packet; None if it is left out or can't be decoded alone."""
        if self._last is not None and 0 <= seconds - self._last < self._interval:
            return None
        try:
            frames = [*self._context.decode(av.Packet(data)), *self._context.decode(None)]
        except av.error.FFmpegError:
            return None
        finally:
            self._context.flush_buffers()
        if not frames or frames[0].is_corrupt:
            return None
        self._last = seconds
        return LivePicture(seconds, display.with_aspect(self._context.sample_aspect_ratio).picture(frames[0]))
