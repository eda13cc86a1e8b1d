"""Re-encoding with a stated recipe, through ffmpeg-python and imageio-ffmpeg's bundled ffmpeg."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import ffmpeg
import imageio_ffmpeg

from .drafts import draft_of
from .errors import MalformedStream, UnsupportedStream
from .source import FORMATS, Source

__all__ = ["Recipe", "transcode"]

_TIMED: Final = frozenset((".mp4", ".m4v", ".mov", ".mkv"))
_ENCODERS: Final = {"h264": "libx264", "mpeg4": "mpeg4"}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to encode. The default suits motion features: every vector refers to the frame before.

    Attributes:
        codec: "h264", or "mpeg4" for MPEG-4 Part 2 (what CoViAR and MoCLIP-Lite used).
        gop: frames from one I picture to the next.
        bframes: consecutive B pictures.
        refs: reference pictures (H.264).
        crf: quality of H.264, 0 (lossless) to 51; for MPEG-4 the quantiser, 1 to 31.
        preset: x264's effort.
        side: scale the short side to this many pixels; None keeps the size.
        threads: of the encoder; 0 for all cores.
    """

    codec: str = "h264"
    gop: int = 12
    bframes: int = 0
    refs: int = 1
    crf: int = 20
    preset: str = "medium"
    side: int | None = None
    threads: int = 0

    def __post_init__(self) -> None:
        if self.codec not in _ENCODERS:
            raise ValueError(f"codec must be one of {sorted(_ENCODERS)}, got {self.codec!r}")
        limits = {"gop": (1, 10_000), "bframes": (0, 16), "refs": (1, 16), "crf": (0, 51)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low} to {high}, got {getattr(self, name)}")
        if self.side is not None and self.side < 2:
            raise ValueError(f"side must be at least 2 pixels, got {self.side}")

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain values, for manifests and cache keys."""
        return asdict(self)

    def _arguments(self) -> dict[str, Any]:
        out: dict[str, Any] = {
            "vcodec": _ENCODERS[self.codec],
            "g": self.gop,
            "bf": self.bframes,
            "threads": self.threads,
            "pix_fmt": "yuv420p",
        }
        if self.codec == "h264":
            # No I pictures at scene cuts: the GOP is what the recipe says.
            out |= {"crf": self.crf, "preset": self.preset, "refs": self.refs, "sc_threshold": 0}
        else:
            out |= {"q:v": max(1, min(self.crf, 31)), "sc_threshold": 1_000_000_000}
        return out


def transcode(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    codec: str = "h264",
    *,
    gop: int = 12,
    bframes: int = 0,
    refs: int = 1,
    crf: int = 20,
    preset: str = "medium",
    side: int | None = None,
    threads: int = 0,
) -> Path:
    """Re-encode a video; sound is dropped, odd sizes are padded by one pixel.

    The file appears under its name only when it is complete.

    Args:
        src: the video.
        dst: where to write; the ending chooses the container (.mp4, .mkv, .avi).
        codec, gop, bframes, refs, crf, preset, side, threads: see :class:`Recipe`.

    Returns:
        The path written.

    Raises:
        FileNotFoundError: there is no such file.
        MalformedStream: it can't be decoded.
        OSError: it can't be written; errno.ENOSPC if the disk is full.
        ValueError: a recipe value out of range, or `dst` is `src`.
    """
    recipe = Recipe(
        codec=codec, gop=gop, bframes=bframes, refs=refs, crf=crf, preset=preset, side=side, threads=threads
    )
    source, target = Source.of(Path(src)), Path(dst)
    source.open().close()
    if target.exists() and target.resolve() == Path(src).resolve():
        raise ValueError(f"{dst}: source and destination are the same file")
    if not target.suffix:
        raise ValueError(f"{dst}: give the file an ending such as .mp4, it chooses the container")
    with draft_of(target) as draft:
        _run_ffmpeg(source, draft, target, recipe)
    return target


def _run_ffmpeg(source: Source, draft: Path, target: Path, recipe: Recipe) -> None:
    limits = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    video = ffmpeg.input(f"file:{source.path}", xerror=None, **limits).video
    if recipe.side is not None:
        video = video.filter(
            "scale", w=f"if(gt(iw,ih),-2,{recipe.side})", h=f"if(gt(iw,ih),{recipe.side},-2)"
        )
    video = video.filter("pad", w="ceil(iw/2)*2", h="ceil(ih/2)*2")
    arguments = recipe._arguments()
    if recipe.codec == "h264" and target.suffix in _TIMED:  # pictures keep their own times
        arguments |= {"fps_mode": "vfr", "enc_time_base": "demux"}
    job = ffmpeg.output(video, f"file:{draft}", **arguments).global_args(
        "-nostdin", "-hide_banner", "-loglevel", "error"
    )
    try:
        job.run(
            cmd=imageio_ffmpeg.get_ffmpeg_exe(),
            capture_stdout=True,
            capture_stderr=True,
            overwrite_output=True,
        )
    except ffmpeg.Error as error:
        lines = (error.stderr or b"").decode("utf-8", "replace").strip().splitlines()
        if any("No space left" in line for line in lines):
            raise OSError(errno.ENOSPC, "the disk is full", str(target.parent)) from error
        if any("does not contain any stream" in line or "matches no streams" in line for line in lines):
            raise UnsupportedStream(f"{source.name}: no video stream to transcode") from error
        if any("Unable to choose an output format" in line for line in lines):
            raise ValueError(
                f"{target}: the ending {target.suffix!r} names no container; use .mp4, .mkv or .avi"
            ) from error
        reason = re.sub(r"^\[[^\]]*\] ", "", lines[0]) if lines else "ffmpeg gave no reason"
        raise MalformedStream(f"{source.name}: transcoding failed: {reason}") from error
