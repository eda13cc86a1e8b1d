"""Packets of a video stream: times, sizes and flags."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final

import av.error
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ..errors import MalformedStream

__all__ = ["NO_PACKET", "NO_PTS", "SEEK_THRESHOLD_BYTES", "PacketIndex", "StreamProperties"]

NO_PTS: Final = int(np.iinfo(np.int64).min)
"""Time stamp of a packet that has none (AV_NOPTS_VALUE)."""

NO_PACKET: Final = -1
"""Packet number of a picture that the decoder created, which belongs to no packet."""

SEEK_THRESHOLD_BYTES: Final = 1 << 20
"""Bytes to skip from which on a seek is faster than reading past them."""


@dataclass(frozen=True, kw_only=True)
class StreamProperties:
    """Properties that the container and the parameter sets give, read from the opened stream.

    Attributes:
        codec: libavcodec's name of the codec (not of its decoder), such as "h264" or "av1".
        profile: such as "High", or None.
        width, height: of the coded picture after cropping, 0 if unknown.
        rate: frames per second, or None.
        seconds: duration, or None.
        reorder_depth: pictures that the decoder holds back for reordering.
        probed: whether libavformat decoded pictures to find these; if not, `profile` is None and
            `reorder_depth` 0, whatever the stream has.
    """

    codec: str
    profile: str | None
    width: int
    height: int
    rate: Fraction | None
    seconds: float | None
    reorder_depth: int
    probed: bool

    @classmethod
    def of(cls, stream: VideoStream, *, probed: bool = True) -> StreamProperties:
        """Read the properties of an opened stream."""
        context = stream.codec_context
        seconds = None
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        return cls(
            codec=context.codec.canonical_name,
            profile=context.profile if probed else None,
            width=context.width,
            height=context.height,
            rate=stream.average_rate or stream.guessed_rate,
            seconds=seconds,
            reorder_depth=int(context.reorder_depth) if probed else 0,
            probed=probed,
        )


@dataclass(frozen=True, kw_only=True)
class PacketIndex:
    """Packets of the video stream in decoding order. A packet is not always one picture: see `numbering`.

    Attributes:
        stream: properties known before the first packet.
        pts, dts: int64 [N] time stamps in units of `time_base`; NO_PTS where a packet has none.
        duration: int64 [N] in units of `time_base`; 0 where unknown.
        keyframe: bool [N], the container's flag.
        displayed: bool [N]; False where an edit list asks to decode the packet but not to show it.
        corrupt: bool [N]; the demuxer found data missing in or next to the packet.
        size: int64 [N] bytes.
        position: int64 [N], byte offset of a packet's data in the file; -1 where the container splits them.
        time_base: seconds per tick.
        exact_seeks: whether the container's index leads to the packet of a given time.
        truncation: where the file is cut short, as a sentence; None for a complete file.
    """

    stream: StreamProperties
    pts: npt.NDArray[np.int64]
    dts: npt.NDArray[np.int64]
    duration: npt.NDArray[np.int64]
    keyframe: npt.NDArray[np.bool_]
    displayed: npt.NDArray[np.bool_]
    corrupt: npt.NDArray[np.bool_]
    size: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    time_base: float
    exact_seeks: bool
    truncation: str | None = None

    def require_whole(self, name: str) -> None:
        """Refuse a truncated file.

        Raises:
            MalformedStream: says where it is cut short.
        """
        if self.truncation is not None:
            raise MalformedStream(f"{name}: {self.truncation}")

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def contiguous(self) -> bool:
        """Whether each packet can be read from the file at its `position`."""
        return bool((self.position >= 0).all())

    @property
    def corrupt_packets(self) -> list[int]:
        """Numbers of the packets that are `corrupt`."""
        return np.flatnonzero(self.corrupt).tolist()

    def seek(self, container: InputContainer, stream: VideoStream, packet: int) -> bool:
        """Seek so that the next packet read from the container is at or before `packet`.

        Returns:
            Whether the container was moved; the caller compares the packets that follow with this index.
        """
        if not self.exact_seeks:
            return False
        times = self.dts if "matroska" not in container.format.name else self.pts
        if times[packet] == NO_PTS:
            return False
        try:
            container.seek(int(times[packet]), stream=stream, backward=True)
        except av.error.FFmpegError:
            return False
        return True

    def locate(self, packet: Packet[VideoStream]) -> int | None:
        """Number of a packet that was read after a seek; None if it is unknown or ambiguous."""
        return self._numbers.get((NO_PTS if packet.pts is None else packet.pts, packet.size))

    @cached_property
    def _numbers(self) -> dict[tuple[int, int], int | None]:
        """Packet number by (pts, size); None for pairs that occur twice."""
        numbers: dict[tuple[int, int], int | None] = {}
        for number, key in enumerate(zip(self.pts.tolist(), self.size.tolist(), strict=True)):
            numbers[key] = None if key in numbers else number
        return numbers
