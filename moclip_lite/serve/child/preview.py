"""Whether browsers play a video, and a small H.264 copy of it for those that don't."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt

import mv_tools
from mv_tools import MalformedStream, MotionDecoder
from mv_tools.source import Source, open_video

__all__ = ["make_preview", "player_start", "plays_in_browsers"]

_SHORT_SIDE: Final = 480
_PLAYABLE: Final = {"mp4": frozenset(("h264", "av1", "vp9")), "webm": frozenset(("vp8", "vp9", "av1"))}
_PIXELS: Final = frozenset(("yuv420p", "yuvj420p"))
_TOLERANCE: Final = 0.002  # seconds; Matroska's times are whole milliseconds


def plays_in_browsers(source: Source) -> bool:
    """Whether all current browsers play it: H.264, VP8, VP9 or AV1 with 8-bit 4:2:0 pictures, in MP4 or WebM."""
    with open_video(source) as (container, stream):
        context = stream.codec_context
        names = set(container.format.name.split(","))
        if "webm" in names and not _is_webm(source):
            return False
        codecs = frozenset().union(*(_PLAYABLE.get(name, frozenset()) for name in names))
        return context.codec.canonical_name in codecs and context.pix_fmt in _PIXELS


def _is_webm(source: Source) -> bool:
    """Whether the DocType of an EBML header is webm, not matroska."""
    with source.open_raw() as file:
        return b"webm" in file.read(64)


def player_start(source: Source) -> float:
    """Time of the stream that players call zero: the earliest of all streams, sound included."""
    with source.open(packets_only=True) as container:
        return 0.0 if container.start_time is None else float(container.start_time) / av.time_base


def make_preview(
    path: Path, target: Path, size: tuple[int, int], times: npt.NDArray[np.float64] | None
) -> float:
    """Re-encode a video for browsers. Its pictures keep their distances in time.

    Args:
        path: the video.
        target: the copy, an .mp4 file.
        size: (width, height) of the picture as shown.
        times: seconds of the original's pictures on the player's clock, None if it has none.

    Returns:
        What to add to a time of the original to get that of the copy, both on the player's clock.

    Raises:
        MotionError: it can't be decoded, or its times are not kept.
    """
    side = _SHORT_SIDE if min(size) > _SHORT_SIDE else None
    mv_tools.transcode(path, target, crf=26, preset="veryfast", side=side, gop=48)
    copied = MotionDecoder(target).pictures.times
    if copied is None or times is None or not len(times):
        return 0.0
    copied = copied - player_start(Source.of(target))
    same = len(times) == len(copied)
    error = float(np.abs((times - times[0]) - (copied - copied[0])).max()) if same else np.inf
    if error > _TOLERANCE:
        raise MalformedStream(f"{path}: the times of its H.264 copy differ by {error:.3f} s")
    return float(copied[0] - times[0])
