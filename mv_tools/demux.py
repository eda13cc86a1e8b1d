"""What a file's packets tell without decoding one picture: index, order, properties."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final, Literal, TypeAlias

import av.error
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from .display import SQUARE, Display, Region, read_display
from .errors import MalformedStream
from .source import Source, open_video

__all__ = ["PacketIndex", "StreamFacts", "VideoMetadata", "coded_size", "read_metadata", "scan_packets"]

_MACROBLOCK: Final = 16
_WORTH_A_SEEK: Final = 12  # packets: a seek, perhaps a new decoder, against decoding so many pictures


@dataclass(frozen=True, kw_only=True)
class VideoMetadata:
    """What a file says of its video stream.

    Attributes:
        codec: libav's name, such as "h264" or "mpeg4".
        profile: such as "High", or None.
        width, height: of the picture as shown, in samples.
        coded_width, coded_height: whole macroblocks, as coded.
        display: how pictures are shown: turned upright, in square pixels.
        average_fps: frames per second, or None where the container does not know.
        num_frames: pictures in the stream; None where only decoding can count them (raw streams).
        duration_seconds: from the first picture's time to the end of the last; without times as the
            container says, or by the rate; or None.
        has_b_frames: whether decoding and presentation order differ.
        entropy_coding: "cabac" or "cavlc" for H.264, else None.
    """

    codec: str
    profile: str | None
    width: int
    height: int
    coded_width: int
    coded_height: int
    display: Display
    average_fps: float | None
    num_frames: int | None
    duration_seconds: float | None
    has_b_frames: bool
    entropy_coding: Literal["cabac", "cavlc"] | None

    @property
    def sample_aspect_ratio(self) -> Fraction:
        """Width of a coded sample to its height; 1 where nothing tells."""
        return self.display.sample_aspect_ratio or SQUARE

    @property
    def display_width(self) -> int:
        """Width of the picture as a player shows it, in square pixels."""
        return self.display.size(self.width, self.height)[0]

    @property
    def display_height(self) -> int:
        """Height of the picture as a player shows it, in square pixels."""
        return self.display.size(self.width, self.height)[1]

    def region(self, grid_shape: tuple[int, int]) -> Region:
        """Where the shown part of the picture lies in an upright grid of `grid_shape` (rows, columns)."""
        return self.display.region(
            grid_shape, (self.width, self.height), (self.coded_width, self.coded_height)
        )


@dataclass(frozen=True, kw_only=True)
class StreamFacts:
    """What the container and the parameter sets say, taken from the opened stream.

    Attributes:
        codec: libav's name.
        profile: such as "High", or None.
        width, height: of the picture as shown, 0 if nothing says.
        rate: frames per second, or None.
        seconds: duration, or None.
        reorders: whether the codec puts pictures in another order.
        display: how the container says to show pictures.
    """

    codec: str
    profile: str | None
    width: int
    height: int
    rate: Fraction | None
    seconds: float | None
    reorders: bool
    display: Display

    @classmethod
    def of(cls, source: Source, stream: VideoStream) -> StreamFacts:
        """Take them from an opened stream."""
        context = stream.codec_context
        seconds = None
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        return cls(
            codec=context.name,
            profile=context.profile,
            width=context.width,
            height=context.height,
            rate=stream.average_rate or stream.guessed_rate,
            seconds=seconds,
            reorders=bool(context.has_b_frames),
            display=read_display(source, stream).with_aspect(context.sample_aspect_ratio),
        )

    def to_json(self) -> str:
        """As text, for an index that is kept."""
        rate = None if self.rate is None else [self.rate.numerator, self.rate.denominator]
        return json.dumps({**vars(self), "rate": rate, "display": self.display.to_plain()})

    @classmethod
    def from_json(cls, text: str) -> StreamFacts:
        """What :meth:`to_json` wrote.

        Raises:
            ValueError: anything else.
        """
        kinds = {
            "codec": str, "profile": (str, type(None)), "width": int, "height": int,
            "rate": (list, type(None)), "seconds": (float, type(None)), "reorders": bool, "display": dict,
        }  # fmt: skip
        value = json.loads(text)
        if not isinstance(value, dict) or value.keys() != kinds.keys():
            raise ValueError("its description of the stream is another")
        if not all(isinstance(value[name], kind) for name, kind in kinds.items()):  # type: ignore[arg-type]
            raise ValueError("its description of the stream is of other types")
        try:
            rate = None if value["rate"] is None else Fraction(*value["rate"])
        except (TypeError, ZeroDivisionError) as error:
            raise ValueError("its frame rate is no fraction") from error
        return cls(**{**value, "rate": rate, "display": Display.from_plain(value["display"])})


@dataclass(frozen=True)
class PacketIndex:
    """Packets of the video stream in decoding order.

    Attributes:
        stream: what was known of the stream before the first packet.
        pts: int64 [N] presentation times in `time_base`; all -1 if the stream has none.
        keyframe: bool [N].
        shown: bool [N]; False where an edit list says to decode but not to show.
        size: int64 [N] bytes.
        position: int64 [N], the byte of the file where a packet's data begin; -1 where the container
            does not keep them in one piece.
        time_base: seconds per tick.
        timestamps: whether every packet has a distinct presentation time that can be relied on.
        cut: where the file is cut short, in words; None for a whole file.
        tail: seconds that the last picture lasts, by its own packet; None if it doesn't say.
    """

    stream: StreamFacts
    pts: npt.NDArray[np.int64]
    keyframe: npt.NDArray[np.bool_]
    shown: npt.NDArray[np.bool_]
    size: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    time_base: float
    timestamps: bool
    cut: str | None = None
    tail: float | None = None

    def require_whole(self, name: str) -> None:
        """Refuse a file that is cut short.

        Raises:
            MalformedStream: says where.
        """
        if self.cut is not None:
            raise MalformedStream(f"{name}: {self.cut}")

    def __len__(self) -> int:
        return int(self.shown.sum())

    @cached_property
    def times(self) -> npt.NDArray[np.float64] | None:
        """Presentation time of each picture in seconds, [len(self)]; None without timestamps."""
        if not self.timestamps:
            return None
        return np.asarray(self.pts[self.decode_of] * self.time_base, np.float64)

    @property
    def seconds(self) -> float | None:
        """From the first picture's time to the end of the last, or None without timestamps."""
        if self.times is None or not len(self.times):
            return None
        return float(self.times[-1] - self.times[0]) + self.last_seconds

    @property
    def last_seconds(self) -> float:
        """How long the last picture is shown: as its packet says, else at the stream's rate, else as long
        as the one before."""
        if self.tail is not None:
            return self.tail
        if self.stream.rate:
            return float(1 / self.stream.rate)
        times = self.times
        return float(times[-1] - times[-2]) if times is not None and len(times) > 1 else 0.0

    @property
    def in_place(self) -> bool:
        """Whether all packets can be read at `position`."""
        return bool((self.position >= 0).all())

    @cached_property
    def decode_of(self) -> npt.NDArray[np.int64]:
        """Packet number of each presented picture, [len(self)]; needs timestamps."""
        order = np.argsort(self.pts, kind="stable")
        return order[self.shown[order]].astype(np.int64)

    @cached_property
    def presentation_of(self) -> npt.NDArray[np.int64]:
        """Presentation index of each packet, -1 where it is not shown; needs timestamps."""
        out = np.full(len(self.pts), -1, np.int64)
        out[self.decode_of] = np.arange(len(self))
        return out

    @cached_property
    def decode_rank(self) -> npt.NDArray[np.int64]:
        """Position of each packet among the shown ones, in decoding order."""
        rank: npt.NDArray[np.int64] = np.cumsum(self.shown, dtype=np.int64) - 1
        return rank

    def seek_point(self, packet: int) -> int:
        """The last keyframe packet from which `packet` can be decoded.

        Pictures that follow a keyframe in decoding order but precede it in presentation
        order (open GOP) need the keyframe before it.
        """
        candidates = np.nonzero(self.keyframe[: packet + 1] & (self.pts[: packet + 1] <= self.pts[packet]))[0]
        return int(candidates[-1]) if len(candidates) else 0

    def locate(self, pts: int | None, name: str) -> int:
        """Number of the packet with a presentation time, after a seek.

        Raises:
            MalformedStream: no packet of the index has it.
        """
        found = np.nonzero(self.pts == (-1 if pts is None else pts))[0]
        if not len(found):
            raise MalformedStream(f"{name}: the container's index does not match its packets")
        return int(found[0])

    @cached_property
    def preroll(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """What decoding one presented picture takes; needs timestamps.

        Returns:
            (entry, before), int64 [len(self)] each: the packet of its seek point, and the number of
            packets from there to the picture's own.
        """
        entry = np.zeros(len(self.pts), np.int64)
        times: list[int] = []  # of the keyframes that are the best entry for some later time; ascending
        packets: list[int] = []
        for packet, (pts, key) in enumerate(zip(self.pts.tolist(), self.keyframe.tolist(), strict=True)):
            if key:
                while times and times[-1] >= pts:
                    times.pop()
                    packets.pop()
                times.append(pts)
                packets.append(packet)
            place = bisect_right(times, pts)
            entry[packet] = packets[place - 1] if place else 0
        chosen = entry[self.decode_of]
        return chosen, self.decode_of - chosen

    def unneeded(self, packet: int, start: int) -> bool:
        """Whether decoding from the seek point `start` does without a packet.

        It comes before the seek point, or leads it: part of the GOP before it (open GOP).
        """
        return packet < start or (start > 0 and bool(self.pts[packet] < self.pts[start]))

    def stretches(self, indices: Sequence[int]) -> list[tuple[int, list[int]]]:
        """Split ascending presentation indices into stretches to decode.

        Returns:
            (first packet, indices) of each; stretches with fewer packets between them than a seek
            is worth are joined. Without timestamps there is one stretch from the start.
        """
        if not self.timestamps:
            return [(0, list(indices))] if len(indices) else []
        runs: list[tuple[int, list[int]]] = []
        reached = 0  # the furthest packet of the last stretch
        for i in indices:
            packet = int(self.decode_of[i])
            start = self.seek_point(packet)
            if runs and start <= reached + _WORTH_A_SEEK:
                runs[-1][1].append(i)
                reached = max(reached, packet)
            else:
                runs.append((start, [i]))
                reached = packet
        return runs


def scan_packets(
    source: Source, visit: Callable[[Packet[VideoStream], int], None] | None = None
) -> PacketIndex:
    """Read all packet headers of the video stream; no picture is decoded.

    Args:
        source: the file.
        visit: shown each packet with its number, in decoding order.

    Raises:
        MalformedStream: the file can't be demultiplexed or holds no picture.
    """
    pts: list[int | None] = []
    key: list[bool] = []
    shown: list[bool] = []
    size: list[int] = []
    position: list[int | None] = []
    cut = None
    last: tuple[int, int] | None = None  # time and duration of the picture shown last
    with open_video(source, packets_only=True) as (container, stream):
        facts = StreamFacts.of(source, stream)
        time_base = float(stream.time_base or 0)
        try:
            for packet in container.demux(stream):
                if packet.size == 0:
                    continue
                if visit is not None:
                    visit(packet, len(pts))
                if packet.is_corrupt and cut is None:
                    cut = f"the file is cut short inside picture {len(pts)} (decoding order)"
                pts.append(packet.pts)
                if packet.pts is not None and not packet.is_discard:
                    last = max(last or (packet.pts, 0), (packet.pts, packet.duration or 0))
                key.append(bool(packet.is_keyframe))
                shown.append(not packet.is_discard)
                size.append(packet.size)
                position.append(packet.pos)
        except av.error.FFmpegError as error:
            raise MalformedStream(
                f"{source.name}: reading stopped after {len(pts)} pictures: {error}"
            ) from error
        # AVI stores no times; those of reordered pictures are guesses.
        stored = container.format.name != "avi"
        mp4 = "mp4" in container.format.name
        declared = stream.frames if mp4 else 0  # only its table is exact
    if not pts:
        raise MalformedStream(f"{source.name}: the video stream holds no picture")
    if cut is None and len(pts) < declared:
        cut = f"the file is cut short: it holds {len(pts)} of {declared} pictures"
    times = [-1 if value is None else value for value in pts]
    known = None not in pts and len(set(times)) == len(times) and (stored or times == sorted(times))
    return PacketIndex(
        stream=facts,
        pts=np.array(times, np.int64),
        keyframe=np.array(key, bool),
        shown=np.array(shown, bool),
        size=np.array(size, np.int64),
        position=np.array([-1 if at is None or not mp4 else at for at in position], np.int64),
        time_base=time_base,
        timestamps=known,
        cut=cut,
        tail=last[1] * time_base if last is not None and last[1] > 0 else None,
    )


def coded_size(width: int, height: int, coded_width: int = 0, coded_height: int = 0) -> tuple[int, int]:
    """(coded_width, coded_height) in whole macroblocks; the codec's own numbers where it has them."""
    return (
        -(-max(width, coded_width) // _MACROBLOCK) * _MACROBLOCK,
        -(-max(height, coded_height) // _MACROBLOCK) * _MACROBLOCK,
    )


EntropyCoding: TypeAlias = Literal["cabac", "cavlc"]


def read_metadata(
    source: Source,
    index: PacketIndex,
    *,
    coded: tuple[int, int] | None = None,
    entropy: EntropyCoding | None = None,
) -> VideoMetadata:
    """Describe the video stream.

    Args:
        source: the file.
        index: its packets.
        coded: (coded_width, coded_height) and
        entropy: H.264's entropy coding, if they are known; else one picture is decoded for them.

    Raises:
        MalformedStream: the first picture can't be decoded.
    """
    facts = index.stream
    if coded is None:
        with open_video(source) as (container, stream):
            context = stream.codec_context
            entropy = entropy or _decode_first(source, container, stream)
            facts = StreamFacts.of(source, stream)
            coded = coded_size(context.width, context.height, context.coded_width, context.coded_height)
    if facts.width < 1 or facts.height < 1:
        raise MalformedStream(f"{source.name}: the video stream gives no picture size")
    frames = len(index) if index.timestamps else None
    seconds = index.seconds if index.timestamps else facts.seconds
    if seconds is None and frames and facts.rate:
        seconds = frames / float(facts.rate)
    return VideoMetadata(
        codec=facts.codec,
        profile=facts.profile,
        width=facts.width,
        height=facts.height,
        coded_width=coded[0],
        coded_height=coded[1],
        display=facts.display,
        average_fps=float(facts.rate) if facts.rate else None,
        num_frames=frames,
        duration_seconds=seconds,
        has_b_frames=bool((np.diff(index.pts) < 0).any()) if index.timestamps else facts.reorders,
        entropy_coding=entropy,
    )


def _decode_first(source: Source, container: InputContainer, stream: VideoStream) -> EntropyCoding | None:
    """Decode one picture, so that the codec knows its coded size; returns H.264's entropy coding."""
    context = stream.codec_context
    context.thread_count = 1
    entropy = entropy_coding(context.extradata) if context.name == "h264" else None
    try:
        for packet in container.demux(stream):
            if context.name == "h264" and entropy is None and packet.size:
                entropy = entropy_coding(bytes(packet))
            if context.decode(packet):
                break
    except av.error.FFmpegError as error:
        raise MalformedStream(f"{source.name}: the first picture can't be decoded: {error}") from error
    return entropy


def entropy_coding(data: bytes | None) -> EntropyCoding | None:
    """entropy_coding_mode_flag of the first picture parameter set (H.264, 7.3.2.2).

    Args:
        data: an AVCDecoderConfigurationRecord (avcC) or an Annex B byte stream.
    """
    for payload in _parameter_sets(data or b""):
        bits = "".join(f"{byte:08b}" for byte in payload[:16].replace(b"\0\0\3", b"\0\0"))
        try:
            position = 0
            for _ in range(2):  # pic_parameter_set_id, seq_parameter_set_id: ue(v)
                zeros = bits.index("1", position) - position
                position += 2 * zeros + 1
            return "cabac" if bits[position] == "1" else "cavlc"
        except (ValueError, IndexError):
            continue
    return None


def _parameter_sets(data: bytes) -> list[bytes]:
    """Payloads of the picture parameter sets (nal_unit_type 8), without the NAL header byte."""
    if data[:1] == b"\x01" and len(data) > 6:  # avcC: ISO/IEC 14496-15, 5.2.4.1
        position, found = 6, []
        for _ in range(data[5] & 31):
            position += 2 + int.from_bytes(data[position : position + 2], "big")
        if position >= len(data):
            return []
        count, position = data[position], position + 1
        for _ in range(count):
            length = int.from_bytes(data[position : position + 2], "big")
            found.append(data[position + 3 : position + 2 + length])
            position += 2 + length
        return found
    units = data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    return [unit[1:] for unit in units[1:] if unit and unit[0] & 31 == 8]
