"""Properties of a video stream: sizes, rate, duration, entropy coding."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal, TypeAlias

import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from .display import SQUARE, Display, ShownPicture
from .errors import MalformedStream
from .pictures.demux import read_packets
from .pictures.index import PictureIndex
from .pictures.packets import PacketIndex, StreamProperties
from .source import Source, open_video

__all__ = ["EntropyCoding", "VideoMetadata", "coded_size", "entropy_coding", "read_metadata"]

EntropyCoding: TypeAlias = Literal["cabac", "cavlc"]

_MACROBLOCK: Final = 16
_RATE_TOLERANCE: Final = 0.05  # containers round times to milliseconds


@dataclass(frozen=True, kw_only=True)
class VideoMetadata(ShownPicture):
    """Properties of a video stream.

    Attributes:
        codec: libav's name, such as "h264" or "mpeg4".
        profile: such as "High", or None.
        width, height: of the coded picture after cropping, in samples.
        coded_width, coded_height: whole macroblocks, as coded.
        display: how pictures are shown: turned upright, in square pixels.
        average_fps: frames per second: the container's rate, or frames by duration where that differs by
            more than 5 % (variable rates); None if unknown.
        num_frames: pictures in the stream; the two fields of a frame are two if they are coded as pictures.
        duration_seconds: from the first picture's time to the end of the last, or None.
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
    num_frames: int
    duration_seconds: float | None
    has_b_frames: bool
    entropy_coding: Literal["cabac", "cavlc"] | None

    @property
    def sample_aspect_ratio(self) -> Fraction:
        """Width of a coded sample to its height; 1 if unknown."""
        return self.display.sample_aspect_ratio or SQUARE

    @property
    def coded_size(self) -> tuple[int, int]:
        """(width, height) that is coded."""
        return self.coded_width, self.coded_height


def coded_size(width: int, height: int, coded_width: int = 0, coded_height: int = 0) -> tuple[int, int]:
    """(coded_width, coded_height) in whole macroblocks, from the codec's own numbers where it has them."""
    return (
        -(-max(width, coded_width) // _MACROBLOCK) * _MACROBLOCK,
        -(-max(height, coded_height) // _MACROBLOCK) * _MACROBLOCK,
    )


def read_metadata(
    source: Source,
    packets: PacketIndex,
    pictures: PictureIndex,
    display: Display,
    *,
    coded: tuple[int, int] | None = None,
    entropy: EntropyCoding | None = None,
) -> VideoMetadata:
    """Describe the video stream.

    Args:
        source: the file.
        packets: its packets.
        pictures: its pictures.
        display: how they are shown.
        coded: (coded_width, coded_height) if known; otherwise one picture is decoded to find it.
        entropy: H.264's entropy coding, if known.

    Raises:
        MalformedStream: no picture can be decoded.
    """
    properties = packets.stream
    if coded is None:
        with open_video(source) as (container, stream):
            context = stream.codec_context
            entropy = entropy or _decode_first(source, container, stream)
            properties = StreamProperties.of(stream)
            coded = coded_size(context.width, context.height, context.coded_width, context.coded_height)
    if properties.width < 1 or properties.height < 1:
        raise MalformedStream(f"{source.name}: the video stream has no picture size")
    seconds = pictures.duration
    if seconds is None and properties.rate:
        seconds = len(pictures) / float(properties.rate)
    return VideoMetadata(
        codec=properties.codec,
        profile=properties.profile,
        width=properties.width,
        height=properties.height,
        coded_width=coded[0],
        coded_height=coded[1],
        display=display,
        average_fps=_average_rate(properties, len(pictures), pictures.duration),
        num_frames=len(pictures),
        duration_seconds=seconds,
        has_b_frames=pictures.reordered,
        entropy_coding=entropy,
    )


def _average_rate(properties: StreamProperties, frames: int, seconds: float | None) -> float | None:
    """The container's frame rate, or frames by duration where they differ."""
    stated = float(properties.rate) if properties.rate else None
    measured = frames / seconds if seconds else stated
    if stated is None or measured is None or abs(measured / stated - 1) > _RATE_TOLERANCE:
        return measured
    return stated


def _decode_first(source: Source, container: InputContainer, stream: VideoStream) -> EntropyCoding | None:
    """Decode one picture, which sets the coded size; returns H.264's entropy coding."""
    context = stream.codec_context
    context.thread_count = 1
    entropy = entropy_coding(context.extradata) if context.name == "h264" else None
    reason = "no picture is displayed"
    for packet in read_packets(container, stream):
        if context.name == "h264" and entropy is None:
            entropy = entropy_coding(bytes(packet))
        try:
            if context.decode(packet):
                return entropy
        except av.error.FFmpegError as error:
            reason = str(error.strerror).lower()
    if context.width < 1:
        raise MalformedStream(f"{source.name}: no picture can be decoded: {reason}")
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
    if data[:1] != b"\x01" or len(data) <= 6:
        units = data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
        return [unit[1:] for unit in units[1:] if unit and unit[0] & 31 == 8]
    position = 6  # avcC: ISO/IEC 14496-15, 5.2.4.1
    for _ in range(data[5] & 31):  # sequence parameter sets
        position += 2 + int.from_bytes(data[position : position + 2], "big")
    payloads: list[bytes] = []
    for _ in range(data[position] if position < len(data) else 0):
        length = int.from_bytes(data[position + 1 : position + 3], "big")
        payloads.append(data[position + 4 : position + 3 + length])
        position += 2 + length
    return payloads
