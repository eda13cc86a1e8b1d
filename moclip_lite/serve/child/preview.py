"""Whether browsers play a video, and a small H.264 copy of it for those that don't."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt

import mv_tools
from mv_tools import MalformedStream, MotionDecoder
from mv_tools.source import Source, demuxed, open_video

from ...datasets.segments import start_of

__all__ = ["make_preview", "player_start", "plays_in_browsers"]

_SHORT_SIDE: Final = 480
_PLAYABLE: Final = {"mp4": frozenset(("h264", "av1", "vp9")), "webm": frozenset(("vp8", "vp9", "av1"))}
_PIXELS: Final = frozenset(("yuv420p", "yuvj420p"))
_CLOCK: Final = 90_000  # ticks per second of the preview
_TOLERANCE: Final = 0.002  # seconds; Matroska's times are whole milliseconds


def plays_in_browsers(source: Source) -> bool:
    """Whether all current browsers play it: H.264, VP8, VP9 or AV1 in 8-bit 4:2:0, in MP4 or WebM."""
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
    return start_of(source) or 0.0


def make_preview(
    path: Path, target: Path, size: tuple[int, int], times: npt.NDArray[np.float64] | None
) -> float:
    """Re-encode a video for browsers. Its pictures keep their distances in time; the first is shown at zero.

    Args:
        path: the video.
        target: the copy, an .mp4 file.
        size: (width, height) of the picture as shown.
        times: seconds of the original's pictures on the player's clock, never decreasing;
            None if it has none.

    Returns:
        What to add to a time of the original to get that of the copy, both on the player's clock.

    Raises:
        MotionError: it can't be decoded, or its times are not kept.
    """
    side = _SHORT_SIDE if min(size) > _SHORT_SIDE else None
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        draft = Path(folder) / "draft.mp4"
        mv_tools.transcode(path, draft, crf=26, preset="veryfast", side=side, gop=48, bframes=0)
        _write_with_times(draft, target, times)
    if times is None or not len(times):
        return 0.0
    copied = MotionDecoder(target).pictures.times
    assert copied is not None  # MP4 has times
    copied = copied - player_start(Source.of(target))
    same = len(times) == len(copied)
    error = float(np.abs((times - times[0]) - (copied - copied[0])).max()) if same else np.inf
    if error > _TOLERANCE:
        raise MalformedStream(f"{path}: the times of its H.264 copy differ by {error:.3f} s")
    return float(copied[0] - times[0])


def _write_with_times(source: Path, target: Path, times: npt.NDArray[np.float64] | None) -> None:
    """Copy the packets of a video without B pictures, each with the time given for it.

    ffmpeg moves times where a container stores those of decoding, or where they fall back.
    """
    ticks: list[int] = []
    for seconds in () if times is None else times - times[0]:
        ticks.append(max(round(float(seconds) * _CLOCK), ticks[-1] + 1 if ticks else 0))
    steps = [*np.diff(ticks).tolist(), *np.diff(ticks[-2:]).tolist()]  # the last lasts as long as that before
    with (
        av.open(str(source)) as original,
        av.open(str(target), "w", options={"movflags": "faststart"}) as copy,
    ):
        stream = original.streams.video[0]
        written = copy.add_stream_from_template(stream)
        packets = demuxed(original, stream)
        for number, packet in enumerate(packets):
            if number < len(steps):
                packet.time_base = Fraction(1, _CLOCK)
                packet.pts = packet.dts = ticks[number]
                packet.duration = steps[number]
            packet.stream = written
            copy.mux(packet)
