"""Long videos cut into windows: at shots, which motion vectors betray, and where a shot is long.

Encoders answer a cut with an I picture out of turn or with a P picture that refers to nothing. Both also
happen without a cut (a flash, a scene too hard to predict), so the picture before and after are looked at;
nothing else is decoded.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

import mv_tools
from mv_tools import MotionDecoder, UnsupportedStream

__all__ = ["Window", "cut_windows", "find_cuts", "video_windows"]

_INTER_SHARE: Final = 0.4  # of a P picture's blocks; fewer that refer to another picture make it suspect
_CHANGE: Final = 24.0  # mean difference of thumbnails, of 255


@dataclass(frozen=True)
class Window:
    """A stretch of a video: frames from `start` up to but not with `stop`, and their times in seconds."""

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
                keys.append(frame.index)
            elif frame.pict_type == "P" and mv_tools.inter_mask(frame).mean() < _INTER_SHARE:
                suspects.append(frame.index)
    except UnsupportedStream:
        return []
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
    total: int, fps: float, cuts: list[int], longest: float, shortest: float = 1.0
) -> list[Window]:
    """Shots, the long ones in equal parts.

    Args:
        total: frames of the video.
        fps: frames per second.
        cuts: first frames of shots.
        longest: seconds of a window at most.
        shortest: a cut that would leave less than so many seconds on either side is passed over.
    """
    least, most = max(1, round(shortest * fps)), max(1, round(longest * fps))
    edges = [0]
    for cut in cuts:
        if cut - edges[-1] >= least and total - cut >= least:
            edges.append(cut)
    edges.append(total)
    windows = []
    for first, last in itertools.pairwise(edges):
        parts = -(-(last - first) // most)
        bounds = [first + (last - first) * i // parts for i in range(parts + 1)]
        windows += [Window(a, b, a / fps, b / fps) for a, b in itertools.pairwise(bounds)]
    return windows


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
    total = mv_tools.count_frames(path)
    fps = float(MotionDecoder(path).metadata.average_fps or 25.0)  # raw streams don't say
    cuts = find_cuts(path) if shots and total > fps else []
    return cut_windows(total, fps, cuts, longest)
