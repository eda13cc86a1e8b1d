"""Re-encoding with a stated recipe, through ffmpeg-python and imageio-ffmpeg's bundled ffmpeg."""

from __future__ import annotations

import errno
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import ffmpeg
import imageio_ffmpeg
import numpy as np

from .atomic import atomic_write
from .display import UPRIGHT
from .errors import ArgumentError, MalformedStream, UnsupportedStream
from .pictures.index import NO_TAG, PictureIndex
from .pictures.notes import stream_notes
from .pictures.numbering import index_pictures
from .pictures.packets import NO_PTS
from .pictures.scan import StreamScan, scan_stream
from .source import FORMATS, Source

__all__ = ["Recipe", "transcode"]

log = logging.getLogger("mv_tools")

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
            raise ArgumentError(f"codec must be one of {sorted(_ENCODERS)}, got {self.codec!r}")
        limits = {"gop": (1, 10_000), "bframes": (0, 16), "refs": (1, 16), "crf": (0, 51)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ArgumentError(f"{name} must be from {low} to {high}, got {getattr(self, name)}")
        if self.side is not None and self.side < 2:
            raise ArgumentError(f"side must be at least 2 pixels, got {self.side}")

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
        ArgumentError: a recipe value out of range, or `dst` is `src`.
    """
    recipe = Recipe(
        codec=codec, gop=gop, bframes=bframes, refs=refs, crf=crf, preset=preset, side=side, threads=threads
    )
    source, target = Source.of(Path(src)), Path(dst)
    if target.exists() and target.resolve() == Path(src).resolve():
        raise ArgumentError(f"{dst}: source and destination are the same file")
    if not target.suffix:
        raise ArgumentError(f"{dst}: give the file an ending such as .mp4, it chooses the container")
    original = _read(source)
    with atomic_write(target) as draft:
        _run_ffmpeg(original, draft, target, recipe)
        if _is_timed(recipe, target):  # other containers have one rate: pictures are repeated or left out
            copied = index_pictures(Source.of(draft), scan_stream(Source.of(draft)))
            if len(copied) != len(original.pictures):
                raise MalformedStream(
                    f"{source.name}: the copy would have {len(copied)} of {len(original.pictures)} pictures"
                )
    return target


@dataclass(frozen=True)
class _Original:
    """The file to re-encode, with what decides how ffmpeg is called."""

    source: Source
    scan: StreamScan
    pictures: PictureIndex

    @property
    def damaged(self) -> bool:
        """Whether damage is known; ffmpeg then goes on behind it as the decoder does."""
        pictures = self.pictures
        return bool(self.scan.packets.corrupt.any() or pictures.corrupt.any() or pictures.damaged)

    @property
    def interval(self) -> float | None:
        """Seconds from picture to picture where the container's times can't be kept: they are those of
        decoding, or fall back. None where they can, and where there are none."""
        packet, times = self.pictures.packet, self.pictures.times
        ticks = np.where(packet == NO_TAG, NO_PTS, self.scan.packets.pts[packet])
        if times is None or len(times) < 2 or (NO_PTS not in ticks and (np.diff(ticks) > 0).all()):
            return None
        return float(times[-1] - times[0]) / (len(times) - 1)


def _read(source: Source) -> _Original:
    """Number the pictures of the original; what is left out or damaged is logged.

    Raises:
        MalformedStream: the file is cut short, or most of its pictures are damaged.
    """
    scan = scan_stream(source)
    scan.packets.require_whole(source.name)
    pictures = index_pictures(source, scan)
    if 2 * int(pictures.corrupt.sum()) > len(pictures):
        raise MalformedStream(
            f"{source.name}: {int(pictures.corrupt.sum())} of {len(pictures)} pictures are damaged"
        )
    for note in stream_notes(scan, pictures):
        log.warning("%s: %s", source.name, note)
    return _Original(source, scan, pictures)


def _is_timed(recipe: Recipe, target: Path) -> bool:
    """Whether pictures keep their own times in the copy."""
    return recipe.codec == "h264" and target.suffix in _TIMED


def _scaled(video: Any, aspect: Fraction, side: int | None) -> Any:
    """Scale to square pixels, and the short side to `side` if it is given; ffmpeg has turned the picture."""
    wide = f"iw*{aspect.numerator}/{aspect.denominator}"
    if side is not None:
        return video.filter(
            "scale",
            w=f"if(gt({wide},ih),2*round({side}*{wide}/ih/2),{side})",
            h=f"if(gt({wide},ih),{side},2*round({side}*ih/({wide})/2))",
        )
    return video if aspect == 1 else video.filter("scale", w=f"2*round({wide}/2)", h="ih")


def _run_ffmpeg(original: _Original, draft: Path, target: Path, recipe: Recipe) -> None:
    source, display = original.source, original.scan.display
    options: dict[str, Any] = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    if display.orientation == UPRIGHT and display.notes:
        options["display_rotation"] = 0  # ffmpeg would turn by any angle
    if not original.damaged:
        options["xerror"] = None
    with _encodable(source.path or Path(source.name)) as readable, _encodable(draft) as writable:
        _call_ffmpeg(original, readable, writable, target, recipe, options)


@contextmanager
def _encodable(path: Path) -> Iterator[Path]:
    """The path, or a link to it where its name is not UTF-8, which ffmpeg-python does not take."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / f"link{path.suffix.encode('ascii', 'ignore').decode()}"
            link.symlink_to(path.absolute())
            yield link
    else:
        yield path


def _call_ffmpeg(
    original: _Original, readable: Path, writable: Path, target: Path, recipe: Recipe, options: dict[str, Any]
) -> None:
    source, display = original.source, original.scan.display
    video = ffmpeg.input(f"file:{readable}", **options).video
    if original.interval is not None:
        video = video.filter("setpts", f"N*{original.interval:.9f}/TB")
    video = _scaled(video, display.upright_aspect, recipe.side)
    video = video.filter("pad", w="ceil(iw/2)*2", h="ceil(ih/2)*2")
    video = video.filter("setsar", sar="1")
    arguments = recipe._arguments()
    if _is_timed(recipe, target):
        arguments |= {"fps_mode": "vfr", "enc_time_base": "demux" if original.interval is None else "filter"}
    job = ffmpeg.output(video, f"file:{writable}", **arguments).global_args(
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
            raise ArgumentError(
                f"{target}: the ending {target.suffix!r} names no container; use .mp4, .mkv or .avi"
            ) from error
        reason = re.sub(r"^\[[^\]]*\] ", "", lines[0]) if lines else "ffmpeg gave no reason"
        raise MalformedStream(f"{source.name}: transcoding failed: {reason}") from error
