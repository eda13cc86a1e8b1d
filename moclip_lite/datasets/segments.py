"""Reading segments of long files by index: each file is scanned once for all of its segments."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final, Generic, TypeVar

import av
import av.error
import numpy as np
import numpy.typing as npt

from mv_tools import MalformedStream, MotionDecoder, MotionError, RgbDecoder
from mv_tools.source import Source, open_video

from ..sampling import SAME_TIME, Segment, pictures_between

__all__ = [
    "LATE_END",
    "SharedDecoders",
    "motion_pictures",
    "player_edges",
    "player_origin",
    "rgb_pictures",
    "start_of",
    "video_seconds",
]

Decoder = TypeVar("Decoder")

LATE_END: Final = 1.0
"""Seconds by which a segment may end behind its video: annotation tools include sound
after the last picture, and round."""

_MAX_OPEN: Final = 2  # files; tables are read file by file


class SharedDecoders(Generic[Decoder]):
    """Decoders of the files that were read last; safe for several threads.

    A decoder is opened, and its file scanned, once for segments that are read one after another. A file that
    can't be opened is not tried again either.

    Args:
        open_file: makes the decoder of a file.
    """

    def __init__(self, open_file: Callable[[Path], Decoder]) -> None:
        self._open = open_file
        self._decoders: OrderedDict[tuple[Path, tuple[int, ...]], Decoder | Exception] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, path: Path) -> Decoder:
        """The decoder of a file; a file that has changed since is opened again.

        Raises:
            FileNotFoundError: no such file.
            mv_tools.MotionError, OSError: it can't be read.
        """
        key = (path, Source.of(path).stamp)
        with self._lock:  # a second thread waits for the scan
            if key not in self._decoders:
                self._decoders[key] = self._attempt(path)
                while len(self._decoders) > _MAX_OPEN:
                    self._decoders.popitem(last=False)
            self._decoders.move_to_end(key)
            decoder = self._decoders[key]
        if isinstance(decoder, Exception):
            raise decoder
        return decoder

    def _attempt(self, path: Path) -> Decoder | Exception:
        try:
            return self._open(path)
        except (MotionError, OSError, av.error.FFmpegError) as error:
            return error


def video_seconds(path: Path, enough: float) -> float | None:
    """Seconds of a video to its end: its header's, or its pictures' if those are unknown or below `enough`.

    Returns:
        None if the file can't be read.
    """
    try:
        with open_video(Source.of(path), packets_only=True) as (container, stream):
            seconds = 0.0
            if stream.duration and stream.time_base:
                seconds = float(stream.duration * stream.time_base)
            elif container.duration:
                seconds = container.duration / av.time_base
        return seconds if seconds >= enough else float(player_edges(RgbDecoder(path))[-1])
    except (MotionError, OSError, av.error.FFmpegError):
        return None


def motion_pictures(decoder: MotionDecoder, segment: Segment) -> range:
    """Pictures of a segment, as the decoder numbers them.

    Raises:
        mv_tools.MalformedStream: none appears in it, or it ends behind the video.
    """
    rgb = RgbDecoder(decoder)
    edges = player_edges(rgb)
    return _pictures(rgb.name, *pictures_between(edges[decoder.frame_of], segment), edges, segment)


def rgb_pictures(decoder: RgbDecoder, segment: Segment) -> range:
    """Frames of a segment, as RGB pictures are numbered.

    Raises:
        mv_tools.MalformedStream: none appears in it, or it ends behind the video.
    """
    edges = player_edges(decoder)
    return _pictures(decoder.name, *pictures_between(edges[:-1], segment), edges, segment)


def player_edges(decoder: RgbDecoder) -> npt.NDArray[np.float64]:
    """Times at which each picture appears, and at which the last one ends, on a player's clock."""
    return decoder.edges() + player_origin(decoder)


def player_origin(decoder: RgbDecoder) -> float:
    """When the first picture appears on a player's clock, in seconds.

    It starts with the first of all streams: with the first picture unless sound begins before it.
    """
    source, times = decoder.source, decoder.times
    if times is None or not len(times):
        return 0.0
    started = start_of(source) if source.path is None else _start_of_file(source.path, source.stamp)
    late = 0.0 if started is None else float(times[0]) - started
    return late if late > SAME_TIME else 0.0


@lru_cache(maxsize=64)
def _start_of_file(path: Path, stamp: tuple[int, ...]) -> float | None:
    return start_of(Source.of(path))


def start_of(source: Source) -> float | None:
    """Time at which the first of a file's streams starts, in seconds; None if unknown."""
    with open_video(source, packets_only=True) as (container, _):
        return None if container.start_time is None else container.start_time / av.time_base


def _pictures(name: str, first: int, stop: int, edges: npt.NDArray[np.float64], segment: Segment) -> range:
    end = float(edges[-1])
    if segment.end > end + LATE_END:
        raise MalformedStream(f"{name}: the segment {segment} s ends behind the video, at {end:.3f} s")
    if first >= stop:
        raise MalformedStream(f"{name}: no picture of the video appears in the segment {segment} s")
    return range(first, stop)
