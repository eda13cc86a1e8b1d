"""Re-encoding with a given recipe, through ffmpeg-python and the ffmpeg that imageio-ffmpeg bundles."""

from __future__ import annotations

import errno
import logging
import os
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

from .atomic import atomic_write
from .display import UPRIGHT
from .errors import ArgumentError, BackendUnavailable, MalformedStream, UnsupportedStream
from .pictures.index import PictureIndex
from .pictures.notes import stream_notes
from .pictures.numbering import index_pictures
from .pictures.packets import NO_PACKET, NO_PTS
from .pictures.scan import StreamScan, scan_stream
from .recipe import Recipe
from .source import FORMATS, Source, utf8_path

__all__ = ["transcode"]

log = logging.getLogger("mv_tools")

_NOTED_SHIFT: Final = 0.1  # seconds
_NOTED_SHARE: Final = 0.02  # of the pictures


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
    fps: int | None = None,
    threads: int = 0,
) -> Path:
    """Re-encode a video; sound is dropped, odd sizes are padded by one pixel.

    The file appears under its name only when it is complete.

    Args:
        src: the video.
        dst: where to write; the ending chooses the container (.mp4, .mkv, .avi).
        codec: "h264", "hevc", or "mpeg4".
        gop: frames from one I picture to the next.
        bframes: consecutive B pictures.
        refs: reference pictures.
        crf: quality, see :class:`Recipe`.
        preset: x264's or x265's preset.
        side: pixels of the short side; None keeps the size.
        fps: pictures per second; None keeps them all.
        threads: encoder threads; 0 for all cores.

    Returns:
        The path written.

    Raises:
        FileNotFoundError: there is no such file.
        MalformedStream: it can't be decoded.
        OSError: it can't be written; errno.ENOSPC if the disk is full.
        ArgumentError: a recipe value out of range, an ending without container or of one that does not hold
            the codec, a side that makes pictures too large, or `dst` is `src`.
        BackendUnavailable: ffmpeg-python or imageio-ffmpeg is not installed.
    """
    recipe = Recipe(
        codec=codec,
        gop=gop,
        bframes=bframes,
        refs=refs,
        crf=crf,
        preset=preset,
        side=side,
        fps=fps,
        threads=threads,
    )
    source, target = Source.of(Path(src)), Path(dst)
    source.refuse_overwriting(target)
    recipe.check_target(target)
    original = _read_original(source)
    with atomic_write(target) as draft:
        _encode(original, draft, target, recipe)
        _check_copy(original, draft, target, recipe)
    return target


def _check_copy(original: _Original, draft: Path, target: Path, recipe: Recipe) -> None:
    """Compare the number of pictures of a copy with the original's.

    Raises:
        MalformedStream: a copy that keeps times has more or fewer.
    """
    copy, pictures = Source.of(draft), original.pictures
    count = len(index_pictures(copy, scan_stream(copy)))
    if recipe.keeps_times(target):
        if count != len(pictures):
            raise MalformedStream(
                f"{original.source.name}: the copy would have {count} of {len(pictures)} pictures"
            )
        return
    if recipe.fps is None:
        expected, advice = len(pictures), "; an H.264 copy in .mp4 or .mkv keeps them all"
    elif pictures.duration is None:  # the file has no times to go by
        return
    else:
        expected, advice = round(pictures.duration * recipe.fps), ""
    if abs(count - expected) > max(2, _NOTED_SHARE * expected):
        log.warning(
            "%s: the copy has one picture rate, and %d pictures where %d were expected%s",
            original.source.name,
            count,
            expected,
            advice,
        )


@dataclass(frozen=True)
class _Original:
    """The file to re-encode."""

    source: Source
    scan: StreamScan
    pictures: PictureIndex

    @property
    def damaged(self) -> bool:
        """Whether damage is known; ffmpeg then continues behind it as the decoder does, on one thread."""
        pictures = self.pictures
        return bool(self.scan.packets.corrupt.any() or pictures.corrupt.any() or pictures.refused)

    @property
    def interval(self) -> float | None:
        """Seconds from picture to picture, where the container's times can't be kept because they are those
        of decoding or decrease. None where they can, and where there are none."""
        packet, times = self.pictures.packet, self.pictures.times
        ticks = np.where(packet == NO_PACKET, NO_PTS, self.scan.packets.pts[packet])
        if times is None or len(times) < 2 or (NO_PTS not in ticks and (np.diff(ticks) > 0).all()):
            return None
        return float(times[-1] - times[0]) / (len(times) - 1)

    @property
    def shift(self) -> float:
        """Seconds by which even spacing moves a picture at most; 0 where times are kept."""
        interval, times = self.interval, self.pictures.times
        if interval is None or times is None:
            return 0.0
        return float(np.abs(times - times[0] - interval * np.arange(len(times))).max())


def _read_original(source: Source) -> _Original:
    """Number the pictures of the original; what is left out or damaged is logged.

    Raises:
        MalformedStream: the file is cut short, or most of its pictures are damaged.
    """
    scan = scan_stream(source)
    scan.packets.require_whole(source.name)
    pictures = index_pictures(source, scan)
    damaged = int(pictures.corrupt.sum())
    if 2 * damaged > len(pictures):
        raise MalformedStream(f"{source.name}: {damaged} of {len(pictures)} pictures are damaged")
    for note in stream_notes(scan, pictures):
        log.warning("%s: %s", source.name, note)
    original = _Original(source, scan, pictures)
    if original.shift > _NOTED_SHIFT:
        log.warning(
            "%s: the copy's pictures are evenly spaced, up to %.1f s from their own times",
            source.name,
            original.shift,
        )
    return original


def _encode(original: _Original, draft: Path, target: Path, recipe: Recipe) -> None:
    """Run ffmpeg.

    Raises:
        BackendUnavailable: ffmpeg-python or imageio-ffmpeg is not installed.
        MotionError, OSError, ArgumentError: see `_error`.
    """
    try:
        import ffmpeg
        import imageio_ffmpeg
    except ImportError as error:
        raise BackendUnavailable(
            f"transcoding needs {error.name}: pip install 'moclip-lite[transcode]'"
        ) from error
    source = original.source
    with utf8_path(source.path or Path(source.name)) as readable, utf8_path(draft) as writable:
        streams = ffmpeg.input(f"file:{readable}", **_input_options(original))
        video = _filtered(streams["V"], original, recipe)  # "V": no cover pictures
        arguments = recipe.ffmpeg_arguments()
        if recipe.keeps_times(target):
            time_base = "demux" if original.interval is None else "filter"
            arguments |= {"fps_mode": "vfr", "enc_time_base": time_base}
        job = ffmpeg.output(video, f"file:{writable}", **arguments)
        job = job.global_args("-nostdin", "-hide_banner", "-loglevel", "error")
        executable = imageio_ffmpeg.get_ffmpeg_exe()
        with job.run_async(executable, pipe_stdout=True, pipe_stderr=True, overwrite_output=True) as process:
            try:
                _, errors = process.communicate()
            except BaseException:  # it would write the draft after that was removed
                process.kill()
                raise
        if process.returncode:
            messages = (errors or b"").decode("utf-8", "replace").strip().splitlines()
            raise _error(messages, source.name, target)


def _input_options(original: _Original) -> dict[str, Any]:
    options: dict[str, Any] = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    display = original.scan.display
    if display.orientation == UPRIGHT and display.notes:
        options["display_rotation"] = 0  # ffmpeg would turn by any angle
    if original.damaged:
        options["threads"] = 1  # with several, what is decoded behind damage differs from one run to the next
    else:
        options["xerror"] = None
    return options


def _filtered(video: Any, original: _Original, recipe: Recipe) -> Any:
    """Set times where the original's can't be kept, scale to square pixels, pad to even sizes."""
    if original.interval is not None:
        video = video.filter("setpts", f"N*{original.interval:.9f}/TB")
    if recipe.fps is not None:
        video = video.filter("fps", fps=recipe.fps)
    video = _scaled(video, original.scan.display.upright_aspect, recipe.side)
    video = video.filter("pad", w="ceil(iw/2)*2", h="ceil(ih/2)*2")
    return video.filter("setsar", sar="1")


def _scaled(video: Any, aspect: Fraction, side: int | None) -> Any:
    """Scale the upright picture to square pixels, and its short side to `side` if given."""
    width = f"iw*{aspect.numerator}/{aspect.denominator}"
    if side is not None:
        return video.filter(
            "scale",
            w=f"if(gt({width},ih),2*round({side}*{width}/ih/2),{side})",
            h=f"if(gt({width},ih),{side},2*round({side}*ih/({width})/2))",
        )
    return video if aspect == 1 else video.filter("scale", w=f"2*round({width}/2)", h="ih")


def _error(messages: list[str], name: str, target: Path) -> Exception:
    """The error that ffmpeg's messages describe."""
    if any("No space left" in line for line in messages):
        return OSError(errno.ENOSPC, "the disk is full", str(target.parent))
    if any("does not contain any stream" in line or "matches no streams" in line for line in messages):
        return UnsupportedStream(f"{name}: no video stream to transcode")
    if size := next(
        filter(None, (re.search(r"Picture size (\w+) is invalid", line) for line in messages)), None
    ):
        return ArgumentError(f"{name}: pictures of {size[1]} pixels are too large; choose a smaller side")
    reason = re.sub(r"^\[[^\]]*\] ", "", messages[0]) if messages else "ffmpeg gave no reason"
    return MalformedStream(f"{name}: transcoding failed: {reason}")
