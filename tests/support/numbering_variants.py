"""Recordings that deviate from a muxer's usual output: cut, joined, trimmed, damaged, rotated."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt

from support.numbering_matrix import ClipMaker, run_ffmpeg

__all__ = ["VARIANTS", "Variant", "write_matroska"]

_TS: Final = 188

Picture = npt.NDArray[np.uint8]
Build = Callable[[ClipMaker, Path], None]


@dataclass(frozen=True)
class Variant:
    """One unusual file.

    Attributes:
        suffix: ending of the file.
        build: writes the file.
        shown: turns a coded picture into the displayed one.
        damaged: bytes of a picture are missing.
    """

    suffix: str
    build: Build
    shown: Callable[[Picture], Picture] = lambda picture: picture
    damaged: bool = False


def _copy(
    maker: ClipMaker,
    path: Path,
    coding: str,
    *,
    before: str = "",
    after: str = "",
    container: str | None = None,
) -> None:
    """Copy the stream of a coding with options before and behind the input."""
    source = maker.master(coding) if container is None else maker.in_container(container, coding)
    run_ffmpeg(*before.split(), "-i", source, "-c", "copy", *after.split(), path)


def _with_sound(maker: ClipMaker, path: Path, coding: str, *, codec: str, after: str = "") -> None:
    sound = ["-f", "lavfi", "-i", "sine=d=1.6:r=44100"]
    maps = ["-map", "1:v", "-map", "0:a", "-c:v", "copy", "-c:a", codec]
    run_ffmpeg(*sound, "-i", maker.master(coding), *maps, *after.split(), path)


def _cut_bytes(
    maker: ClipMaker,
    path: Path,
    coding: str,
    *,
    container: str,
    start: float = 0,
    end: float = 1,
    unit: int = 1,
) -> None:
    """Keep the bytes from `start` to `end` (shares of the file), in multiples of `unit`."""
    data = maker.in_container(container, coding).read_bytes()
    first, last = (int(len(data) * share) // unit * unit for share in (start, end))
    path.write_bytes(data[first:last])


def _video_packets(data: bytes, *, start: bool) -> list[int]:
    """Numbers of the transport packets of the video stream that begin a picture, or of those that do not."""
    out = []
    for number in range(len(data) // _TS):
        head = data[number * _TS : number * _TS + 4]
        pid, begins = (head[1] & 31) << 8 | head[2], bool(head[1] & 0x40)
        if pid == 0x100 and begins == start:
            out.append(number)
    return out


def _lose_packet(maker: ClipMaker, path: Path, coding: str, *, share: float, start: bool) -> None:
    """Drop one packet of a transport stream, at a share of its length: the start of a picture or not."""
    data = maker.in_container("ts", coding).read_bytes()
    numbers = _video_packets(data, start=start)
    lost = numbers[int(len(numbers) * share)]
    path.write_bytes(data[: lost * _TS] + data[(lost + 1) * _TS :])


def _join(
    maker: ClipMaker, path: Path, first: str, second: str, *, offset: float = 0, container: str = "ts"
) -> None:
    """Join two recordings; the times of the second begin at `offset` seconds."""
    parts = []
    for number, (coding, delay) in enumerate(((first, 0.0), (second, offset))):
        part = path.with_name(f"{path.stem}-{number}{path.suffix}")
        _copy(maker, part, coding, container=container, after=f"-output_ts_offset {delay} -muxdelay 0")
        parts.append(part.read_bytes())
        part.unlink()
    path.write_bytes(b"".join(parts))


def _concatenate(maker: ClipMaker, path: Path, *, codings: tuple[str, ...]) -> None:
    """Join raw streams."""
    path.write_bytes(b"".join(maker.in_container("raw_h264", coding).read_bytes() for coding in codings))


def _element(name: str, body: bytes) -> bytes:
    """One EBML element with an 8-byte size."""
    return bytes.fromhex(name) + struct.pack(">Q", len(body) | 1 << 56) + body


def _number(name: str, value: int) -> bytes:
    return _element(name, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def write_matroska(
    path: Path,
    codec: bytes,
    private: bytes,
    size: tuple[int, int],
    blocks: list[tuple[int, bool, bytes]],
    *,
    default: int = 0,
) -> None:
    """Write one video track.

    Args:
        path: to write.
        codec: CodecID.
        private: CodecPrivate.
        size: width, height.
        blocks: (milliseconds, keyframe, data).
        default: DefaultDuration in nanoseconds; 0 for none.
    """
    video = _element("e0", _number("b0", size[0]) + _number("ba", size[1]))
    track = _number("d7", 1) + _number("73c5", 1) + _number("83", 1)
    track += _number("23e383", default) if default else b""
    track += _element("86", codec) + _element("63a2", private) + video
    cluster = b"".join(
        _element("a3", b"\x81" + struct.pack(">hB", time, 0x80 if key else 0) + data)
        for time, key, data in blocks
    )
    ebml = _number("4286", 1) + _number("42f7", 1) + _number("42f2", 4) + _number("42f3", 8)
    ebml += _element("4282", b"matroska") + _number("4287", 2) + _number("4285", 2)
    segment = _element("1549a966", _number("2ad7b1", 1_000_000)) + _element("1654ae6b", _element("ae", track))
    segment += _element("1f43b675", _number("e7", 0) + cluster)
    path.write_bytes(_element("1a45dfa3", ebml) + _element("18538067", segment))


def _vfw(maker: ClipMaker, path: Path, coding: str, *, fourcc: bytes, raw: str) -> None:
    """Write Matroska with the codec id of Video for Windows, whose times are those of decoding."""
    with av.open(str(maker.in_container(raw, coding))) as container:
        stream = container.streams.video[0]
        width, height = stream.codec_context.width, stream.codec_context.height
        packets = [(bool(p.is_keyframe), bytes(p)) for p in container.demux(stream) if p.size]
    header = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, fourcc, width * height * 3, 0, 0, 0, 0)
    blocks = [(40 * i, key, data) for i, (key, data) in enumerate(packets)]
    write_matroska(path, b"V_MS/VFW/FOURCC", header, (width, height), blocks, default=40_000_000)


_NO_TIMES: Final = "-bsf:v setts=pts=DTS-STARTDTS:dts=DTS-STARTDTS"
_HIDDEN: Final = "-ss 0.72"


def _turned(angle: int, turns: int) -> Variant:
    return Variant(
        ".mp4",
        partial(_copy, coding="h264_b", before=f"-display_rotation {angle}"),
        lambda picture: np.rot90(picture, turns),
    )


VARIANTS: Final[dict[str, Variant]] = {
    # No presentation times.
    "mp4 without ctts": Variant(".mp4", partial(_copy, coding="h264_b", after=_NO_TIMES)),
    "mp4 without ctts, hevc": Variant(".mp4", partial(_copy, coding="hevc_open", after=_NO_TIMES)),
    "mp4 without ctts, mpeg4": Variant(".mp4", partial(_copy, coding="mpeg4_b", after=_NO_TIMES)),
    "mov without ctts, open": Variant(".mov", partial(_copy, coding="h264_open", after=_NO_TIMES)),
    "mp4 without ctts, trimmed": Variant(
        ".mp4", partial(_copy, coding="h264_b", after="-bsf:v setts=pts=DTS:dts=DTS")
    ),
    "mkv with times of decoding": Variant(".mkv", partial(_copy, coding="h264_b", after=_NO_TIMES)),
    "mkv of vfw, h264": Variant(".mkv", partial(_vfw, coding="h264_b", fourcc=b"H264", raw="raw_h264")),
    "mkv of vfw, mpeg4": Variant(".mkv", partial(_vfw, coding="mpeg4_b", fourcc=b"DIVX", raw="avi")),
    "mkv of vfw, packed": Variant(".mkv", partial(_vfw, coding="xvid_packed", fourcc=b"XVID", raw="avi")),
    # Trimmed inside a GOP.
    "mp4 trimmed": Variant(".mp4", partial(_copy, coding="h264_b", container="mp4", before=_HIDDEN)),
    "mp4 trimmed, open": Variant(".mp4", partial(_copy, coding="h264_open", container="mp4", before=_HIDDEN)),
    "mp4 trimmed, one key": Variant(
        ".mp4", partial(_copy, coding="h264_one_key", container="mp4", before=_HIDDEN)
    ),
    "mp4 trimmed, hevc": Variant(".mp4", partial(_copy, coding="hevc_open", container="mp4", before=_HIDDEN)),
    "mp4 trimmed at its end": Variant(
        ".mp4", partial(_copy, coding="h264_b", container="mp4", after="-t 0.9")
    ),
    "mov trimmed twice": Variant(
        ".mov", partial(_copy, coding="h264_b", container="mp4", before="-ss 0.2 -t 1.1")
    ),
    "mkv trimmed": Variant(".mkv", partial(_copy, coding="h264_b", container="mkv", before=_HIDDEN)),
    "mkv trimmed behind a key": Variant(
        ".mkv", partial(_copy, coding="h264_one_key", container="mkv", before=_HIDDEN, after="-copyinkf")
    ),
    "avi trimmed": Variant(".avi", partial(_copy, coding="h264_b", container="mp4", before=_HIDDEN)),
    "ts trimmed": Variant(".ts", partial(_copy, coding="h264_b", container="ts", before=_HIDDEN)),
    # Recordings that begin or end anywhere.
    **{
        f"ts cut at {share:.0%}, {coding}": Variant(
            ".ts", partial(_cut_bytes, coding=coding, container="ts", start=share, unit=_TS)
        )
        for coding in ("h264_b", "h264_open", "hevc_open", "hevc_closed", "mpeg2", "h264_mbaff")
        for share in (0.15, 0.4)
    },
    "ts cut anywhere": Variant(".ts", partial(_cut_bytes, coding="h264_open", container="ts", start=0.4321)),
    "ts without its end": Variant(".ts", partial(_cut_bytes, coding="h264_b", container="ts", end=0.7)),
    "m2ts cut": Variant(
        ".m2ts", partial(_cut_bytes, coding="h264_open", container="m2ts", start=0.3, unit=192)
    ),
    "mpg cut": Variant(".mpg", partial(_cut_bytes, coding="mpeg2", container="mpg", start=0.3, unit=2048)),
    "raw h264 cut": Variant(".264", partial(_cut_bytes, coding="h264_open", container="raw_h264", start=0.3)),
    "raw hevc cut": Variant(
        ".hevc", partial(_cut_bytes, coding="hevc_open", container="raw_hevc", start=0.3)
    ),
    "raw m2v cut": Variant(".m2v", partial(_cut_bytes, coding="mpeg2", container="raw_m2v", start=0.3)),
    # A reception error.
    **{
        f"ts lost {'start' if start else 'inside'} at {share:.0%}, {coding}": Variant(
            ".ts", partial(_lose_packet, coding=coding, share=share, start=start), damaged=True
        )
        for coding, share, start in (
            ("h264_b", 0.3, False),
            ("h264_b", 0.6, True),
            ("h264_ip", 0.5, False),
            ("mpeg2", 0.4, False),
            ("hevc_open", 0.4, False),
        )
    },
    # Joined.
    "ts joined": Variant(".ts", partial(_join, first="h264_b", second="h264_open", offset=3)),
    "ts joined, times overlap": Variant(".ts", partial(_join, first="h264_b", second="h264_b", offset=0.9)),
    "ts joined, times start again": Variant(".ts", partial(_join, first="h264_open", second="h264_b")),
    "ts joined, mpeg2": Variant(".ts", partial(_join, first="mpeg2", second="mpeg2", offset=0.7)),
    "ts joined, hevc": Variant(".ts", partial(_join, first="hevc_open", second="hevc_open", offset=0.3)),
    "mpg joined": Variant(".mpg", partial(_join, first="mpeg1", second="mpeg1", container="mpg")),
    "raw h264 joined": Variant(".264", partial(_concatenate, codings=("h264_b", "h264_open"))),
    # Times.
    "ts with times that wrap": Variant(
        ".ts", partial(_copy, coding="h264_b", after="-output_ts_offset 95442.9 -muxdelay 0 -mpegts_copyts 1")
    ),
    "mp4 with an empty edit": Variant(".mp4", partial(_copy, coding="h264_b", before="-itsoffset 1.5")),
    "mp4 without edit list": Variant(".mp4", partial(_copy, coding="h264_b", after="-use_editlist 0")),
    "mp4 with negative offsets": Variant(
        ".mp4", partial(_copy, coding="h264_b", after="-movflags negative_cts_offsets")
    ),
    "mkv with negative times": Variant(
        ".mkv", partial(_copy, coding="h264_b", after="-output_ts_offset -0.3")
    ),
    **{
        f"variable rate {container}": Variant(f".{container}", partial(_copy, coding="h264_variable"))
        for container in ("mp4", "mkv", "avi", "ts", "flv")
    },
    # With sound.
    "mp4 with sound": Variant(".mp4", partial(_with_sound, coding="h264_b", codec="aac")),
    "mkv with sound": Variant(".mkv", partial(_with_sound, coding="hevc_open", codec="aac")),
    "avi with sound": Variant(".avi", partial(_with_sound, coding="mpeg4_b", codec="mp2")),
    "ts with sound": Variant(".ts", partial(_with_sound, coding="h264_open", codec="mp2")),
    "mpg with sound": Variant(".mpg", partial(_with_sound, coding="mpeg1", codec="mp2")),
    "vob with sound": Variant(".vob", partial(_with_sound, coding="mpeg2", codec="ac3")),
    "asf with sound": Variant(".asf", partial(_with_sound, coding="wmv2", codec="wmav2")),
    "mxf with sound": Variant(
        ".mxf", partial(_with_sound, coding="mpeg2", codec="pcm_s16le", after="-ar 48000")
    ),
    "ogg with sound": Variant(".ogg", partial(_with_sound, coding="theora", codec="libvorbis")),
    # Rotated or mirrored.
    "turned by 90": _turned(90, 1),
    "turned by 180": _turned(180, 2),
    "turned by 270": _turned(270, 3),
    "mirrored": Variant(
        ".mp4", partial(_copy, coding="h264_b", before="-display_hflip"), lambda picture: picture[:, ::-1]
    ),
}
