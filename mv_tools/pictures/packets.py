"""The packets of a video stream: times, sizes and flags, read without decoding a picture."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any, Final

import av.error
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ..errors import MalformedStream, UnsupportedStream
from ..source import Source, open_video

__all__ = ["NO_PTS", "WORTH_A_SEEK", "PacketIndex", "StreamFacts", "read_packets", "scan_packets"]

_BROADCAST: Final = frozenset(("mpegts", "mpeg", "mpegvideo", "h264", "hevc", "m4v"))
"""Formats without a table of contents: a recording may end anywhere without being cut short."""


@dataclass(frozen=True, kw_only=True)
class StreamFacts:
    """What the container and the parameter sets say, taken from the opened stream.

    Attributes:
        codec: libavcodec's name of the codec (not of its decoder), such as "h264" or "av1".
        profile: such as "High", or None.
        width, height: of the picture as coded, without its cropping, 0 if nothing says.
        rate: frames per second, or None.
        seconds: duration, or None.
        reorder_depth: pictures that the decoder holds back for reordering.
        probed: whether libavformat looked into pictures; else `profile` and `reorder_depth` are unknown.
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
    def of(cls, stream: VideoStream, *, probed: bool = True) -> StreamFacts:
        """Read them from an opened stream."""
        context = stream.codec_context
        seconds = None
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        return cls(
            codec=context.codec.canonical_name,
            profile=context.profile,
            width=context.width,
            height=context.height,
            rate=stream.average_rate or stream.guessed_rate,
            seconds=seconds,
            reorder_depth=int(context.reorder_depth),
            probed=probed,
        )

    def to_json(self) -> str:
        """As text, for an index that is kept."""
        rate = None if self.rate is None else [self.rate.numerator, self.rate.denominator]
        return json.dumps({**vars(self), "rate": rate})

    @classmethod
    def from_json(cls, text: str) -> StreamFacts:
        """What :meth:`to_json` wrote.

        Raises:
            ValueError: anything else.
        """
        kinds = {
            "codec": str, "profile": (str, type(None)), "width": int, "height": int,
            "rate": (list, type(None)), "seconds": (float, type(None)), "reorder_depth": int,
            "probed": bool,
        }  # fmt: skip
        value = json.loads(text)
        if not isinstance(value, dict) or value.keys() != kinds.keys():
            raise ValueError("unexpected fields in its description of the stream")
        if not all(isinstance(value[name], kind) for name, kind in kinds.items()):  # type: ignore[arg-type]
            raise ValueError("unexpected types in its description of the stream")
        try:
            numbers = value["rate"] or [0, 1]
            if [type(number) for number in numbers] != [int, int] or not all(
                0 <= n < 1 << 31 for n in numbers
            ):
                raise ValueError("its frame rate is not a fraction")
            rate = None if value["rate"] is None else Fraction(*numbers)
        except ZeroDivisionError as error:
            raise ValueError("its frame rate is not a fraction") from error
        if not 0 <= value["width"] <= _LARGEST or not 0 <= value["height"] <= _LARGEST:
            raise ValueError("its picture size is beyond any stream's")
        return cls(**{**value, "rate": rate})


WORTH_A_SEEK: Final = 1 << 20
"""Bytes: from here on a seek is quicker than reading past them."""

_LARGEST: Final = 1 << 16  # samples on a side

NO_PTS: Final = int(np.iinfo(np.int64).min)
"""Time stamp of a packet that has none (AV_NOPTS_VALUE)."""


@dataclass(frozen=True)
class PacketIndex:
    """Packets of the video stream in decoding order. A packet is not always one picture: see `pictures`.

    Attributes:
        stream: what was known of the stream before the first packet.
        pts, dts: int64 [N] time stamps in units of `time_base`; NO_PTS where a packet has none.
        duration: int64 [N] in units of `time_base`; 0 where unknown.
        keyframe: bool [N], the container's flag.
        shown: bool [N]; False where an edit list says to decode but not to show.
        corrupt: bool [N]; the demuxer found data missing in or around the packet.
        size: int64 [N] bytes.
        position: int64 [N], the byte of the file where a packet's data begin; -1 where the container
            does not keep them in one piece.
        time_base: seconds per tick.
        exact_seeks: whether the container's own index leads to a packet of a given time.
        cut: where the file is cut short, in words; None for a whole file.
    """

    stream: StreamFacts
    pts: npt.NDArray[np.int64]
    dts: npt.NDArray[np.int64]
    duration: npt.NDArray[np.int64]
    keyframe: npt.NDArray[np.bool_]
    shown: npt.NDArray[np.bool_]
    corrupt: npt.NDArray[np.bool_]
    size: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    time_base: float
    exact_seeks: bool
    cut: str | None = None

    def require_whole(self, name: str) -> None:
        """Refuse a file that is cut short.

        Raises:
            MalformedStream: says where.
        """
        if self.cut is not None:
            raise MalformedStream(f"{name}: {self.cut}")

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def in_place(self) -> bool:
        """Whether all packets can be read at `position`."""
        return bool((self.position >= 0).all())

    @property
    def damaged(self) -> list[int]:
        """Packets next to which the demuxer found data missing, in decoding order."""
        return [int(number) for number in np.nonzero(self.corrupt)[0]]

    def seek(self, container: InputContainer, stream: VideoStream, packet: int) -> bool:
        """Seek so that the next packets of the container are at or before `packet`.

        Returns:
            Whether it was done; the caller still compares what comes with this index.
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
        """Number of a packet that was read after a seek; None if it is not known or not alone."""
        return self._numbers.get((NO_PTS if packet.pts is None else packet.pts, packet.size))

    @cached_property
    def _numbers(self) -> dict[tuple[int, int], int | None]:
        numbers: dict[tuple[int, int], int | None] = {}
        for number, key in enumerate(zip(self.pts.tolist(), self.size.tolist(), strict=True)):
            numbers[key] = None if key in numbers else number
        return numbers


@dataclass
class _Columns:
    """The columns of a PacketIndex while packets are read."""

    pts: list[int] = field(default_factory=list)
    dts: list[int] = field(default_factory=list)
    duration: list[int] = field(default_factory=list)
    keyframe: list[bool] = field(default_factory=list)
    shown: list[bool] = field(default_factory=list)
    corrupt: list[bool] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    position: list[int] = field(default_factory=list)

    def append(self, packet: Packet[VideoStream], position: int | None) -> None:
        self.pts.append(NO_PTS if packet.pts is None else packet.pts)
        self.dts.append(NO_PTS if packet.dts is None else packet.dts)
        self.duration.append(packet.duration or 0)
        self.keyframe.append(bool(packet.is_keyframe))
        self.shown.append(not packet.is_discard)
        self.corrupt.append(bool(packet.is_corrupt))
        self.size.append(packet.size)
        self.position.append(-1 if position is None else position)

    def arrays(self) -> dict[str, Any]:
        kinds = {"keyframe": bool, "shown": bool, "corrupt": bool}
        return {name: np.array(values, kinds.get(name, np.int64)) for name, values in vars(self).items()}


def read_packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """The packets of the video stream that hold data, up to where the container can be read."""
    with contextlib.suppress(av.error.FFmpegError):  # the scan met it too: `PacketIndex.cut`
        yield from (packet for packet in container.demux(stream) if packet.size)


def _declared(stream: VideoStream, size: int) -> int:
    """Packets of which an MP4 file's table says that they lie within the edit list, one more if the last
    one goes beyond the end of the file."""
    entries = stream.index_entries
    count = len(entries)
    if not count:
        return 0
    last = entries[count - 1]
    return count + (last.pos + last.size > size)


def scan_packets(
    source: Source, visit: Callable[[Packet[VideoStream], int], None] | None = None
) -> PacketIndex:
    """Read all packet headers of the video stream; no picture is decoded.

    Args:
        source: the file.
        visit: shown each packet with its number, in decoding order.

    Raises:
        MalformedStream: the file can't be demultiplexed or holds no picture.
        UnsupportedStream: its samples are encrypted.
    """
    columns = _Columns()
    cut = None
    with open_video(source, packets_only=True) as (container, stream):
        mp4, matroska = "mp4" in container.format.name, "matroska" in container.format.name
        facts = StreamFacts.of(stream, probed=not mp4)
        time_base = float(stream.time_base or 0)
        number = 0
        try:
            for packet in container.demux(stream):
                if packet.size == 0:
                    continue
                if packet.has_sidedata("encryption_info"):
                    raise UnsupportedStream(
                        f"{source.name}: the samples are encrypted (Common Encryption, ISO/IEC 23001-7) "
                        f"from packet {number} on; decrypt the file first"
                    )
                if visit is not None:
                    visit(packet, number)
                columns.append(packet, packet.pos if mp4 else None)
                number += 1
        except av.error.FFmpegError as error:
            if not number:
                raise MalformedStream(f"{source.name}: no packet can be read: {error}") from error
            cut = f"reading stopped after {number} packets: {str(error.strerror).lower()}"
        broadcast = container.format.name in _BROADCAST
        declared = _declared(stream, source.size) if mp4 else 0  # only its table is exact
    if not number:
        raise MalformedStream(f"{source.name}: the video stream holds no picture")
    if cut is None and columns.corrupt[-1] and not broadcast:
        cut = f"the file is cut short inside picture {number - 1} (decoding order)"
    if cut is None and number < declared:
        cut = f"the file is cut short: it holds {number} of {declared} pictures"
    distinct = NO_PTS not in columns.pts and len(set(columns.pts)) == number
    return PacketIndex(
        stream=facts,
        **columns.arrays(),
        time_base=time_base,
        exact_seeks=distinct and (mp4 or matroska),
        cut=cut,
    )
