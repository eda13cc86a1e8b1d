"""Long videos cut into windows: at shots, which motion vectors betray, and where a shot is long.

Encoders answer a cut with an I picture out of turn or with a P picture that refers to nothing. Both also
happen without a cut (a flash, a scene too hard to predict), so the picture before and after are looked at;
nothing else is decoded.
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

_TICK: Final = 1e-6  # seconds; times are sums of fractions
_TRIES: Final = 4
_INTER_SHARE: Final = 0.4  # of a P picture's blocks; fewer that refer to another picture make it suspect
_CHANGE: Final = 24.0  # mean difference of thumbnails, of 255


@dataclass(frozen=True)
class Window:
    """A stretch of a video: frames from `start` up to but not with `stop`, and their times in seconds from
    the first frame on."""

    start: int
    stop: int
    start_seconds: float
    stop_seconds: float


def find_cuts(path: Path) -> list[int]:
    """Frames that begin a new shot, the first frame left out; none where the codec has no motion.

    Raises:
        mv_tools.MotionError: damaged file.
    """
    suspects, keys = [], []
    try:
        for frame in MotionDecoder(path):
            if frame.pict_type == "I":
                keys.append(frame.frame_index)
            elif frame.pict_type == "P" and mv_tools.inter_mask(frame).mean() < _INTER_SHARE:
                suspects.append(frame.frame_index)
    except UnsupportedStream:
        return []
    keys = sorted(set(keys))
    distance = np.diff(keys)
    # Regular I pictures stand at the longest distance; those before it came out of turn.
    suspects += [key for key, gap in zip(keys[1:], distance, strict=True) if gap < distance.max()]
    return [frame for frame in sorted(set(suspects)) if frame > 0 and _changed(path, frame)]


def _changed(path: Path, frame: int) -> bool:
    """Whether a frame shows something else than the one before."""
    small: list[npt.NDArray[np.float32]] = []
    for _, picture in mv_tools.iter_rgb_at(path, [frame - 1, frame]):
        small.append(np.asarray(Image.fromarray(picture).resize((16, 16), Image.Resampling.BOX), np.float32))
    return bool(np.abs(small[1] - small[0]).mean() >= _CHANGE)


def cut_windows(
    edges: npt.NDArray[np.float64], cuts: list[int], longest: float, shortest: float = 1.0
) -> list[Window]:
    """Shots, the long ones in parts of about the same duration.

    Args:
        edges: [frames + 1], when each frame begins to be shown, and when the last one ends, in seconds
            (:meth:`mv_tools.RgbDecoder.edges`).
        cuts: first frames of shots.
        longest: seconds of a window at most; a single frame that is shown for longer is a window.
        shortest: a cut that would leave less than so many seconds on either side is passed over.
    """
    shots = [0]
    for cut in cuts:
        if min(edges[cut] - edges[shots[-1]], edges[-1] - edges[cut]) >= shortest - _TICK:
            shots.append(cut)
    shots.append(len(edges) - 1)
    windows = []
    for first, last in itertools.pairwise(shots):
        bounds = _parts(edges, first, last, longest)
        windows += [Window(a, b, float(edges[a]), float(edges[b])) for a, b in itertools.pairwise(bounds)]
    return windows


def _parts(edges: npt.NDArray[np.float64], first: int, last: int, longest: float) -> list[int]:
    """Frames that begin the parts of a shot, and `last`: as few parts as `longest` allows, alike in length."""
    duration = edges[last] - edges[first]
    fewest = max(1, math.ceil(duration / longest - _TICK))
    for parts in range(fewest, fewest + _TRIES):
        goals = edges[first] + duration * np.arange(1, parts) / parts
        after = np.searchsorted(edges, goals)
        nearest = np.where(edges[after] - goals < goals - edges[after - 1], after, after - 1)
        begins = np.unique(np.concatenate([[first], nearest.clip(first, last), [last]]))
        short = (np.diff(edges[begins]) <= longest + _TICK) | (np.diff(begins) == 1)
        if bool(short.all()):
            return [int(begin) for begin in begins]
    bounds = [first]  # uneven times: each part as long as it may be
    while bounds[-1] < last:
        end = int(np.searchsorted(edges, edges[bounds[-1]] + longest + _TICK, side="right")) - 1
        bounds.append(min(max(end, bounds[-1] + 1), last))
    return bounds


def video_windows(path: Path, longest: float, shots: bool = True) -> list[Window]:
    """The windows of a file.

    Args:
        path: of the file.
        longest: seconds of a window at most.
        shots: cut at shots too.

    Raises:
        FileNotFoundError: no such file.
        mv_tools.MotionError: damaged file.
    """
    decoder = RgbDecoder(path)
    decoder.require_whole()
    edges = decoder.edges()
    cuts = find_cuts(path) if shots and edges[-1] > 1.0 else []
    return cut_windows(edges, cuts, longest)
