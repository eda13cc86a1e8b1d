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
    """Decodes keyframe packets; each on its own, so that no other packet is decoded but a second field's.

    Args:
        codec, extradata: of the stream.
        interval: seconds; a keyframe sooner after the last one decoded is left out.

    Attributes:
        failures: keyframes in a row that gave no picture.
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
        self._field: tuple[bytes, float] | None = None  # a packet that gave no picture, and its time
        self.failures = 0

    def decode(
        self, data: bytes, seconds: float, display: Display, *, keyframe: bool = True
    ) -> LivePicture | None:
        """The picture of a keyframe.

        Args:
            data, seconds: of the next packet, in decoding order.
            display: how pictures are shown.
            keyframe: whether it is one; else it may hold the second field of one.

        Returns:
            None if it is left out or can't be decoded alone, or if its second field is yet to come.
        """
        if not keyframe:
            if self._field is None:
                return None
            (first, seconds), self._field = self._field, None
            return self._picture([first, data], seconds, display)
        if self._field is not None:
            self._field = None
            self.failures += 1
        if self._last is not None and 0 <= seconds - self._last < self._interval:
            return None
        picture = self._picture([data], seconds, display)
        if picture is None:
            self._field = data, seconds
        return picture

    def _picture(self, packets: list[bytes], seconds: float, display: Display) -> LivePicture | None:
        """The only picture that packets give."""
        try:
            frames = [frame for data in packets for frame in self._context.decode(av.Packet(data))]
            frames += self._context.decode(None)
        except av.error.FFmpegError:
            frames = []
        finally:
            self._context.flush_buffers()
        if len(frames) != 1 or frames[0].is_corrupt:
            self.failures += len(packets) > 1
            return None
        self._last, self.failures = seconds, 0
        return LivePicture(seconds, display.with_aspect(self._context.sample_aspect_ratio).picture(frames[0]))
