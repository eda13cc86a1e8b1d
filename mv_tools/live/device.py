"""Pictures of a device, encoded to H.264 on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from threading import Event
from typing import Any, Final

import av
import av.error

from ..display import Display
from ..errors import SourceUnavailable, UnsupportedStream
from .address import Address
from .connection import LivePacket

__all__ = ["EncodedDevice"]

_GROUP_SECONDS: Final = 1.0  # between keyframes
_TIME_BASE: Final = Fraction(1, 90_000)


class EncodedDevice:
    """A webcam (V4L2) or a libavfilter graph as H.264 packets, encoded by x264 ultrafast without delay.

    Args:
        address: of kind "device".
        stop: ends reading.

    Raises:
        SourceUnavailable: the device can't be opened.
        UnsupportedStream: it gives no pictures.
    """

    end: Final = ""
    choice: Final = ""
    codec: Final = "h264"
    extradata: Final = None
    step: Final = 0.0

    def __init__(self, address: Address, stop: Event) -> None:
        self.display = Display()
        self._address, self._stop = address, stop
        # A graph runs as fast as it is read; a webcam paces itself.
        self._paced = address.scheme == "lavfi"
        try:
            self._container: Any = av.open(address.target, format=address.scheme, mode="r")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = str(getattr(error, "strerror", None) or error).lower()
            what = "graph" if self._paced else "device"
            raise SourceUnavailable(f"{address.name}: the {what} can't be opened ({reason})") from None
        if not self._container.streams.video:
            self._container.close()
            raise UnsupportedStream(f"{address.name}: it gives no pictures")
        self._video = self._container.streams.video[0]
        self._encoder: Any = None

    def packets(self) -> Iterator[LivePacket]:
        """Packets up to the end of the device's pictures.

        Raises:
            SourceUnavailable: the device stopped.
        """
        started, first = time.monotonic(), None
        try:
            for frame in self._container.decode(self._video):
                seconds = float(frame.pts * frame.time_base)
                first = seconds if first is None else first
                ahead = seconds - first - (time.monotonic() - started)
                if self._paced and ahead > 0 and self._stop.wait(ahead):
                    return
                yield from self._encode(frame, seconds - first)
        except av.error.FFmpegError as error:
            reason = str(error.strerror or "unknown reason").lower()
            raise SourceUnavailable(f"{self._address.name}: the device stopped ({reason})") from None

    def _encode(self, frame: Any, seconds: float) -> Iterator[LivePacket]:
        if self._encoder is None:
            self._encoder = self._make_encoder(frame)
        width, height = self._encoder.width, self._encoder.height
        picture = frame.reformat(width=width, height=height, format="yuv420p", threads=1)
        picture.pts, picture.time_base = round(seconds / _TIME_BASE), _TIME_BASE
        picture.pict_type = 0  # the encoder's choice
        for packet in self._encoder.encode(picture):
            yield LivePacket(
                bytes(packet), float(packet.pts * packet.time_base), bool(packet.is_keyframe), False
            )

    def _make_encoder(self, frame: Any) -> Any:
        rate = self._video.average_rate or Fraction(30)
        encoder: Any = av.CodecContext.create("libx264", "w")
        encoder.width, encoder.height = frame.width // 2 * 2, frame.height // 2 * 2
        encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", _TIME_BASE, rate
        if aspect := self._video.sample_aspect_ratio:
            encoder.sample_aspect_ratio = aspect
        encoder.gop_size, encoder.thread_count = max(1, round(rate * _GROUP_SECONDS)), 1
        encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "23"}
        return encoder

    def close(self) -> None:
        """Close the device."""
        self._container.close()
