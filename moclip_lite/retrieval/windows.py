"""Windows of a video: it is cut at shot boundaries detected from motion vectors, and long shots are divided.

At a cut, encoders insert an irregular I picture or code a P picture mostly with intra blocks. Both also occur
without a cut (a flash, a scene that is hard to predict), so the pictures before and after it are compared;
no others are decoded.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

import mv_tools
from mv_tools import MotionDecoder, RgbDecoder, UnsupportedStream

__all__ = ["Window", "cut_windows", "find_cuts", "video_windows"]

_TOLERANCE: Final = 1e-6  # seconds; times are sums of fractions
_MAX_EXTRA_PARTS: Final = 4
_MIN_INTER_SHARE: Final = 0.4  # of a P picture's blocks; with fewer inter blocks it may begin a shot
_MIN_CHANGE: Final = 24.0  # mean absolute difference of thumbnails, of 255


@dataclass(frozen=True)
class Window:
    """Part of a video: frames [`start`, `stop`), and their times in seconds from the first frame."""

    start: int
    stop: int
    start_seconds: float
    stop_seconds: float


def find_cuts(path: Path) -> list[int]:
    """First frames of shots, without the first frame of the video; none if the codec has no motion vectors.

    Raises:
        mv_tools.MotionError: damaged file.
    """
    candidates, keys = [], []
    try:
        for frame in MotionDecoder(path):
            if frame.pict_type == "I":
                keys.append(frame.frame_index)
            elif frame.pict_type == "P" and mv_tools.inter_mask(frame).mean() < _MIN_INTER_SHARE:
                candidates.append(frame.frame_index)
    except UnsupportedStream:
        return []
    keys = sorted(set(keys))
    distance = np.diff(keys)
    # Regular I pictures have the largest distance; those at a smaller distance are irregular.
    candidates += [key for key, gap in zip(keys[1:], distance, strict=True) if gap < distance.max()]
    return [frame for frame in sorted(set(candidates)) if frame > 0 and _changed(path, frame)]


def _changed(path: Path, frame: int) -> bool:
    """Whether a frame differs strongly from the previous one."""
    previous, current = (
        np.asarray(Image.fromarray(picture).resize((16, 16), Image.Resampling.BOX), np.float32)
        for _, picture in mv_tools.iter_rgb_at(path, [frame - 1, frame])
    )
    return bool(np.abs(current - previous).mean() >= _MIN_CHANGE)


def cut_windows(
    edges: npt.NDArray[np.float64], cuts: list[int], longest: float, shortest: float = 1.0
) -> list[Window]:
    """Cut a video into shots, and long shots into parts of about equal duration.

    Args:
        edges: [frames + 1], start times of the frames and end time of the last one,
            in seconds (:meth:`mv_tools.RgbDecoder.edges`).
        cuts: first frames of shots.
        longest: maximum duration of a window in seconds; a single frame may be shown for longer.
        shortest: minimum duration in seconds; a cut that would leave less on either side is ignored.
    """
    shots = [0]
    for cut in cuts:
        if min(edges[cut] - edges[shots[-1]], edges[-1] - edges[cut]) >= shortest - _TOLERANCE:
            shots.append(cut)
    shots.append(len(edges) - 1)
    windows = []
    for first, last in itertools.pairwise(shots):
        bounds = _parts(edges, first, last, longest)
        windows += [Window(a, b, float(edges[a]), float(edges[b])) for a, b in itertools.pairwise(bounds)]
    return windows


def _parts(edges: npt.NDArray[np.float64], first: int, last: int, longest: float) -> list[int]:
    """First frames of the parts of a shot, and `last`; the parts are few and of about equal duration."""
    duration = edges[last] - edges[first]
    fewest = max(1, math.ceil(duration / longest - _TOLERANCE))
    for parts in range(fewest, min(fewest + _MAX_EXTRA_PARTS, last - first + 1)):
        targets = edges[first] + duration * np.arange(1, parts) / parts
        after = np.searchsorted(edges, targets)
        nearest = np.where(edges[after] - targets < targets - edges[after - 1], after, after - 1)
        bounds = np.unique(np.concatenate([[first], nearest.clip(first, last), [last]])).tolist()
        fits = (np.diff(edges[bounds]) <= longest + _TOLERANCE) | (np.diff(bounds) == 1)
        if bool(fits.all()):
            return [int(bound) for bound in bounds]
    bounds = [first]  # uneven times: each part as long as allowed
    while bounds[-1] < last:
        end = int(np.searchsorted(edges, edges[bounds[-1]] + longest + _TOLERANCE, side="right")) - 1
        bounds.append(min(max(end, bounds[-1] + 1), last))
    return bounds


def video_windows(path: Path, longest: float, shots: bool = True) -> list[Window]:
    """Cut a video into windows.

    Args:
        path: the video.
        longest: maximum duration of a window in seconds.
        shots: whether to cut at shot boundaries too.

    Raises:
        FileNotFoundError: no such file.
        mv_tools.MotionError: damaged file.
    """
    decoder = RgbDecoder(path)
    decoder.require_whole()
    edges = decoder.edges()
    cuts = find_cuts(path) if shots and edges[-1] > 1.0 else []
    return cut_windows(edges, cuts, longest)
