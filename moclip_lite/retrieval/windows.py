"""Windows of a video: it is cut at shot boundaries, and long shots are divided."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from mv_tools import RgbDecoder

from ..datasets.segments import player_edges
from .shots import find_cuts

__all__ = ["Window", "cut_windows", "video_windows"]

_TOLERANCE: Final = 1e-6  # seconds; times are sums of fractions
_MAX_EXTRA_PARTS: Final = 4


@dataclass(frozen=True)
class Window:
    """Part of a video: frames [`start`, `stop`), and their times in seconds, on a player's clock."""

    start: int
    stop: int
    start_seconds: float
    stop_seconds: float


def cut_windows(
    edges: npt.NDArray[np.float64], cuts: list[int], longest: float, shortest: float = 1.0
) -> list[Window]:
    """Cut a video into shots, and long shots into parts of about equal duration.

    Args:
        edges: [frames + 1], start times of the frames and end time of the last one,
            in seconds (:func:`moclip_lite.datasets.segments.player_edges`).
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
    edges = player_edges(decoder)
    cuts = find_cuts(path) if shots and edges[-1] - edges[0] > 1.0 else []
    return cut_windows(edges, cuts, longest)
