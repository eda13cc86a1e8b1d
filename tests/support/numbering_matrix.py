"""Small clips for the numbering tests: coding x container.

Each coding is encoded once into a master file; a clip is the master copied into a container by the
ffmpeg that imageio-ffmpeg bundles. No clip is skipped because ffmpeg failed: :data:`CONTAINERS` lists what
each container supports.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import imageio_ffmpeg

__all__ = ["CODINGS", "CONTAINERS", "ClipMaker", "Coding", "container_clips", "run_ffmpeg"]

_X264: Final = "-c:v libx264 -preset ultrafast -x264-params "
_X265: Final = "-c:v libx265 -preset ultrafast -x265-params log-level=none:pools=none:frame-threads=1:"
_B: Final = "bframes=3:b-adapt=0:b-pyramid=normal:ref=3:keyint=12:min-keyint=12:scenecut=0"


@dataclass(frozen=True)
class Coding:
    """How a master is encoded.

    Attributes:
        codec: ffmpeg's name of the codec, as in :data:`CONTAINERS`.
        options: encoder and its options.
        size: of the picture; some codecs take only certain sizes.
        pixels: pixel format.
        passes: 2 if the encoder writes hidden pictures only in its second pass.
        master: ending of the master file; NUT holds nearly every codec unchanged.
        frames: number of pictures.
        filters: applied to the test picture.
    """

    codec: str
    options: str
    size: str = "96x80"
    pixels: str = "yuv420p"
    passes: int = 1
    master: str = ".nut"
    frames: int = 40
    filters: str = "null"


_VARIABLE: Final = "setpts='N+10*floor(N/10)+2*floor(N/3)'"  # in ticks of 1/25 s

CODINGS: Final[dict[str, Coding]] = {
    "h264_ip": Coding("h264", _X264 + "bframes=0:keyint=12:scenecut=0"),
    "h264_b": Coding("h264", _X264 + _B),
    "h264_open": Coding("h264", _X264 + _B + ":open-gop=1"),
    "h264_one_key": Coding("h264", _X264 + _B.replace("12", "250")),
    "h264_mbaff": Coding("h264", "-flags +ildct+ilme " + _X264 + _B + ":interlaced=1:tff=1"),
    "h264_fake_interlaced": Coding("h264", _X264 + _B + ":fake-interlaced=1"),
    "h264_refresh": Coding("h264", _X264 + "bframes=0:keyint=12:intra-refresh=1"),
    "h264_intra": Coding("h264", _X264 + "keyint=1"),
    "h264_high": Coding("h264", _X264 + _B + ":8x8dct=1:cabac=1 -profile:v high", master=".mxf"),
    "h264_444": Coding("h264", _X264 + _B, pixels="yuv444p"),
    "h264_10bit": Coding("h264", _X264 + _B, pixels="yuv420p10le"),
    "h264_open_openh264": Coding("h264", "-c:v libopenh264 -g 12"),
    "h264_variable": Coding("h264", "-fps_mode passthrough " + _X264 + _B, filters=_VARIABLE),
    "hevc_closed": Coding("hevc", _X265 + "bframes=3:b-adapt=0:keyint=12:min-keyint=12:open-gop=0"),
    "hevc_open": Coding("hevc", _X265 + "bframes=4:b-adapt=0:keyint=13:min-keyint=13:open-gop=1:b-pyramid=1"),
    "hevc_ip": Coding("hevc", _X265 + "bframes=0:keyint=12:min-keyint=12:open-gop=0"),
    "vvc": Coding("vvc", "-c:v libvvenc -preset faster -g 16", size="128x96", master=".mp4", frames=33),
    "mpeg1": Coding("mpeg1video", "-c:v mpeg1video -bf 2 -g 12"),
    "mpeg1_ip": Coding("mpeg1video", "-c:v mpeg1video -g 12"),
    "mpeg2": Coding("mpeg2video", "-c:v mpeg2video -bf 2 -g 12"),
    "mpeg2_closed": Coding("mpeg2video", "-c:v mpeg2video -bf 2 -g 12 -flags +cgop -sc_threshold 1000000000"),
    "mpeg2_interlaced": Coding("mpeg2video", "-c:v mpeg2video -bf 2 -g 12 -flags +ildct+ilme"),
    "mpeg4": Coding("mpeg4", "-c:v mpeg4 -g 12"),
    "mpeg4_b": Coding("mpeg4", "-c:v mpeg4 -bf 2 -g 12"),
    "xvid_packed": Coding("mpeg4", "-c:v libxvid -bf 2 -g 12", master=".avi"),
    "h263": Coding("h263", "-c:v h263 -g 12", size="128x96"),
    "flv1": Coding("flv1", "-c:v flv -g 12"),
    "msmpeg4v2": Coding("msmpeg4v2", "-c:v msmpeg4v2 -g 12"),
    "msmpeg4v3": Coding("msmpeg4v3", "-c:v msmpeg4 -g 12"),
    "wmv1": Coding("wmv1", "-c:v wmv1 -g 12"),
    "wmv2": Coding("wmv2", "-c:v wmv2 -g 12"),
    "rv10": Coding("rv10", "-c:v rv10 -g 12", size="176x144", master=".rm"),
    "rv20": Coding("rv20", "-c:v rv20 -g 12", size="176x144", master=".rm"),
    "vp8": Coding("vp8", "-c:v libvpx -cpu-used 4 -auto-alt-ref 1 -lag-in-frames 12 -g 20", passes=2),
    "vp9": Coding("vp9", "-c:v libvpx-vp9 -cpu-used 5 -auto-alt-ref 1 -lag-in-frames 12 -g 20", passes=2),
    "svtav1": Coding("av1", "-c:v libsvtav1 -preset 11 -g 20 -svtav1-params lp=1"),
    "aomav1": Coding("av1", "-c:v libaom-av1 -cpu-used 8 -lag-in-frames 12 -g 20"),
    "theora": Coding("theora", "-c:v libtheora -g 12"),
    "mjpeg": Coding("mjpeg", "-c:v mjpeg", pixels="yuvj420p"),
    "ffv1": Coding("ffv1", "-c:v ffv1 -g 10"),
    "huffyuv": Coding("huffyuv", "-c:v huffyuv", pixels="yuv422p"),
    "prores": Coding("prores", "-c:v prores_ks -profile:v 0", pixels="yuv422p10le", frames=20),
    "dnxhd": Coding("dnxhd", "-c:v dnxhd -profile:v dnxhr_lb", size="256x128", pixels="yuv422p", frames=20),
    "svq1": Coding("svq1", "-c:v svq1 -g 12", pixels="yuv410p"),
    "qtrle": Coding("qtrle", "-c:v qtrle -g 12", pixels="rgb24", master=".mov"),
    "cinepak": Coding("cinepak", "-c:v cinepak -g 12 -max_strips 1", pixels="rgb24", frames=26),
    "flashsv": Coding("flashsv", "-c:v flashsv -g 12", pixels="bgr24"),
    "rawvideo": Coding("rawvideo", "-c:v rawvideo", pixels="yuv420p"),
}

_MPEG4: Final = frozenset(["h264", "hevc", "mpeg4"])
_OLD: Final = frozenset(["msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2"])
_QUICKTIME: Final = frozenset(["prores", "dnxhd", "svq1", "qtrle", "cinepak", "h263"])
_WEB: Final = frozenset(["vp8", "vp9", "av1"])


@dataclass(frozen=True)
class Container:
    """A container.

    Attributes:
        suffix: ending of the file.
        codecs: codecs that ffmpeg writes into it.
        options: muxer options.
        refused: codings that it can't hold unchanged although it supports their codec.
        headers: whether those of H.264, HEVC and MPEG-4 precede each keyframe instead of standing in the container.
    """

    suffix: str
    codecs: frozenset[str]
    options: str = ""
    refused: frozenset[str] = frozenset()
    headers: bool = False


_MP4: Final = _MPEG4 | {"mpeg1video", "mpeg2video", "mjpeg", "vp9", "av1", "vvc"}
_PACKED: Final = frozenset(["xvid_packed"])  # only AVI and copies of it distinguish packets from pictures
_NOT_MXF: Final = frozenset(n for n, c in CODINGS.items() if c.codec == "h264") - {"h264_high"}

CONTAINERS: Final[dict[str, Container]] = {
    "mp4": Container(".mp4", _MP4, refused=_PACKED),
    "fmp4": Container(".mp4", _MP4, "-movflags frag_keyframe+empty_moov+default_base_moof", _PACKED),
    "fmp4_frames": Container(".mp4", _MP4, "-movflags frag_every_frame+empty_moov", _PACKED),
    "mov": Container(
        ".mov", _MPEG4 | _QUICKTIME | {"mjpeg", "mpeg2video", "ffv1", "huffyuv"}, refused=_PACKED
    ),
    "mkv": Container(
        ".mkv",
        _MP4 | _OLD | _WEB | {"theora", "ffv1", "huffyuv", "prores", "rawvideo", "cinepak", "h263", "flv1"},
        "-allow_raw_vfw 1",
        _PACKED,
    ),
    "webm": Container(".webm", _WEB),
    "avi": Container(
        ".avi",
        _MPEG4
        | _OLD
        | {
            "mpeg1video",
            "mpeg2video",
            "mjpeg",
            "ffv1",
            "huffyuv",
            "h263",
            "flv1",
            "vp8",
            "cinepak",
            "rawvideo",
        },
        headers=True,
    ),
    "ts": Container(".ts", _MPEG4 | {"mpeg1video", "mpeg2video", "vvc"}, refused=_PACKED, headers=True),
    "m2ts": Container(".m2ts", frozenset(["h264", "hevc", "mpeg2video"]), headers=True),
    "mpg": Container(".mpg", frozenset(["mpeg1video", "mpeg2video", "h264"]), headers=True),
    "vob": Container(".vob", frozenset(["mpeg2video"])),
    "asf": Container(".asf", _OLD | {"h264", "mpeg4", "mjpeg"}, refused=_PACKED),
    "mxf": Container(".mxf", frozenset(["mpeg2video", "dnxhd", "h264", "prores"]), refused=_NOT_MXF),
    "flv": Container(".flv", frozenset(["flv1", "h264", "hevc", "av1", "vp9", "flashsv"])),
    "3gp": Container(".3gp", frozenset(["h263", "mpeg4", "h264"]), refused=_PACKED),
    "ogg": Container(".ogg", frozenset(["theora", "vp8"])),
    "nut": Container(
        ".nut", _MPEG4 | _OLD | _WEB | {"mpeg1video", "mpeg2video", "mjpeg", "theora"}, refused=_PACKED
    ),
    "rm": Container(".rm", frozenset(["rv10", "rv20"])),
    "ivf": Container(".ivf", _WEB),
    "obu": Container(".obu", frozenset(["av1"])),
    "raw_h264": Container(".264", frozenset(["h264"]), headers=True),
    "raw_hevc": Container(".hevc", frozenset(["hevc"]), headers=True),
    "raw_m1v": Container(".m1v", frozenset(["mpeg1video"])),
    "raw_m2v": Container(".m2v", frozenset(["mpeg2video"])),
    "raw_m4v": Container(".m4v", frozenset(["mpeg4"]), "-f m4v", _PACKED, headers=True),
    "raw_mjpeg": Container(".mjpeg", frozenset(["mjpeg"])),
}


def container_clips() -> list[tuple[str, str]]:
    """(container, coding) of every combination that can be written."""
    return [
        (container, coding)
        for container, target in CONTAINERS.items()
        for coding, spec in CODINGS.items()
        if spec.codec in target.codecs and coding not in target.refused
    ]


def run_ffmpeg(*arguments: str | Path) -> None:
    """Run the bundled ffmpeg; raises RuntimeError with its message."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y"]
    result = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"ffmpeg {' '.join(map(str, arguments))}: {result.stderr.strip()}")


class ClipMaker:
    """Makes clips in a folder, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def master(self, coding: str) -> Path:
        """The master file of a coding, encoded on first use."""
        spec = CODINGS[coding]
        path = self.folder / f"master-{coding}{spec.master}"
        if path.exists():
            return path
        pictures = f"testsrc2=s={spec.size}:r=25,setsar=1,{spec.filters}"
        source = ["-f", "lavfi", "-i", pictures, "-frames:v", spec.frames, "-pix_fmt", spec.pixels]
        encoder = [*spec.options.split(), "-threads", "1"]
        if spec.passes == 1:
            run_ffmpeg(*map(str, source), *encoder, path)
            return path
        log = self.folder / coding
        for number in (1, 2):
            out = [path] if number == 2 else ["-f", "null", "-"]
            run_ffmpeg(*map(str, source), *encoder, "-pass", str(number), "-passlogfile", log, *out)
        return path

    def in_container(self, container: str, coding: str) -> Path:
        """The master copied into a container."""
        target = CONTAINERS[container]
        if CODINGS[coding].master == target.suffix and not target.options:
            return self.master(coding)
        path = self.folder / f"{container}-{coding}{target.suffix}"
        if not path.exists():
            options = target.options.split()
            if target.headers and CODINGS[coding].codec in _MPEG4:
                options += ["-bsf:v", "dump_extra=freq=keyframe"]
            run_ffmpeg("-i", self.master(coding), "-c", "copy", *options, path)
        return path
