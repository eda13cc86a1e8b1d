"""Segments from the scores of overlapping windows.

Time is divided into bins of one stride. A bin's class probabilities are the weighted mean over the windows
that cover it; a window counts most in its middle. The labels of all bins are then chosen together: the path
through "none" and the classes with the largest sum of evidence, where each change of label costs a penalty
(the Viterbi algorithm with a Potts model). Segments shorter than half a window are then given up. The
evidence for a class is the logarithm of its odds over the odds of the threshold, so that a class at the
threshold is as good as "none", whose evidence is 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ..results.calibration import Calibration, temper
from ..streams import Stream
from .model import WindowScore
from .timeline import NONE, Segment, TimelineWindow

__all__ = ["SHORTEST", "SWITCH_PENALTY", "best_path", "join_windows", "timeline_window"]

SWITCH_PENALTY: Final = 0.5
"""Cost of a change of label, in nats of the odds."""

SHORTEST: Final = 0.5
"""Least length of a segment as a share of the windows': shorter ones are the ends of two others."""

_SAME_TIME: Final = 1e-3  # seconds
_FLOOR: Final = 1e-3  # least distance of probabilities from 0 and 1: one bin alone decides nothing

Times = npt.NDArray[np.float64]


def timeline_window(score: WindowScore, labels: Sequence[str], calibration: Calibration) -> TimelineWindow:
    """A window's best class and its calibrated probability by each stream."""
    sure = {name: temper(row, calibration.of(name).temperature) for name, row in score.scores.items()}
    if score.stream is None:
        return TimelineWindow(score.start, score.end, NONE, 0.0, {}, score.energy, score.problem)
    best = int(sure[score.stream].argmax())
    scores = {name: float(row[best]) for name, row in sure.items()}
    return TimelineWindow(
        score.start, score.end, labels[best], scores[score.stream], scores, score.energy, score.problem
    )


def is_still(score: WindowScore, calibration: Calibration) -> bool:
    """Whether the answer looks at motion and the window has less of it than any validation clip."""
    if score.stream is None or not Stream(score.stream).sees_motion:
        return False
    return bool(score.energy < calibration.energy)


def join_windows(
    scores: Sequence[WindowScore],
    labels: Sequence[str],
    calibration: Calibration,
    *,
    threshold: float | None = None,
    penalty: float = SWITCH_PENALTY,
    shortest: float | None = None,
) -> list[Segment]:
    """Segments from the scores of windows, which may have gaps between them.

    Args:
        scores: ascending in time.
        labels: class names.
        calibration: of the run.
        threshold: in place of the calibration's.
        penalty: of a change of label, see :data:`SWITCH_PENALTY`.
        shortest: seconds; a shorter segment is given up, and its time goes to what is next best there. By
            default half of the median window.
    """
    if not scores:
        return []
    bins = _Bins(scores)
    if not len(bins.centres):  # all pictures have one time
        return []
    if shortest is None:
        shortest = SHORTEST * float(np.median([score.end - score.start for score in scores]))
    limits, answers = bins.sums(1), bins.sums(len(labels))
    streams = {name: bins.sums(len(labels)) for name in sorted({n for score in scores for n in score.scores})}
    fallback = calibration.of(next(iter(streams), "")).threshold
    for score in scores:
        cover = bins.cover(score)
        sure = {name: temper(row, calibration.of(name).temperature) for name, row in score.scores.items()}
        for name, row in sure.items():
            streams[name].add(cover, row)
        limit = fallback if score.stream is None else calibration.of(score.stream).threshold
        limits.add(cover, np.array([limit if threshold is None else threshold]))
        answer = np.zeros(len(labels), np.float32)
        if score.stream is not None and not is_still(score, calibration):
            answer = sure[score.stream]
        answers.add(cover, answer)
    evidence = _log_odds(answers.mean()) - _log_odds(limits.mean())
    evidence[limits.weights == 0] = _log_odds(np.zeros(1))  # no window there
    evidence = np.concatenate([np.zeros((len(evidence), 1)), evidence], axis=1)
    path = _without_short(evidence, bins.edges, penalty, shortest)
    means = {name: sums.mean() for name, sums in streams.items()}
    return _segments(path, bins.edges, answers.mean(), means, labels)


def _without_short(
    evidence: npt.NDArray[np.float64], edges: Times, penalty: float, shortest: float
) -> npt.NDArray[np.int64]:
    """The best path without segments shorter than `shortest` seconds: their labels are ruled out there, and
    the path is chosen again."""
    evidence = evidence.copy()
    while True:
        path = best_path(evidence, penalty)
        bounds = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), len(path)]
        short = [
            (first, stop)
            for first, stop in itertools.pairwise(bounds)
            if path[first] and edges[stop] - edges[first] < shortest - _SAME_TIME
        ]
        if not short:
            return path
        for first, stop in short:
            evidence[first:stop, path[first]] = -np.inf


def _log_odds(probability: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    limited = probability.clip(_FLOOR, 1 - _FLOOR)
    return np.asarray(np.log(limited / (1 - limited)))


class _Cover(NamedTuple):
    """Bins of a window with their weights."""

    bins: slice
    weights: npt.NDArray[np.float64]


class _Bins:
    """Bins of time between the starts and ends of windows, those closer than a millisecond joined."""

    def __init__(self, scores: Sequence[WindowScore]) -> None:
        times = np.unique([time for score in scores for time in (score.start, score.end)])
        self.edges: Times = times[np.concatenate([[True], np.diff(times) > _SAME_TIME])]
        self.centres = (self.edges[:-1] + self.edges[1:]) / 2

    def cover(self, window: WindowScore) -> _Cover:
        """The bins that a window covers; it weighs 1 in its middle and 0 at its ends."""
        first, stop = np.searchsorted(self.centres, (window.start, window.end)).tolist()
        middle, half = (window.start + window.end) / 2, max((window.end - window.start) / 2, _SAME_TIME)
        weights = np.maximum(1 - np.abs(self.centres[first:stop] - middle) / half, _SAME_TIME)
        return _Cover(slice(first, stop), weights)

    def sums(self, width: int) -> _Sums:
        """Sums of rows of so many values."""
        return _Sums(len(self.centres), width)


class _Sums:
    """Weighted sums over the windows that cover each bin."""

    def __init__(self, bins: int, width: int) -> None:
        self.weights = np.zeros(bins)
        self._values = np.zeros((bins, width))

    def add(self, cover: _Cover, row: npt.NDArray[np.floating]) -> None:
        """Add a window's values."""
        self.weights[cover.bins] += cover.weights
        self._values[cover.bins] += cover.weights[:, None] * row

    def mean(self) -> npt.NDArray[np.float64]:
        """Weighted means [bins, width]; 0 where there is no window."""
        return self._values / np.maximum(self.weights, _SAME_TIME)[:, None]


def _segments(
    path: npt.NDArray[np.int64],
    edges: Times,
    answers: npt.NDArray[np.float64],
    streams: Mapping[str, npt.NDArray[np.float64]],
    labels: Sequence[str],
) -> list[Segment]:
    """Join equal neighbours of a path; state 0 is none."""
    bounds = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), len(path)]
    lengths = np.diff(edges)
    segments = []
    for first, stop in itertools.pairwise(bounds):
        label = int(path[first]) - 1
        if label < 0:
            continue
        part, share = slice(first, stop), lengths[first:stop] / lengths[first:stop].sum()
        scores = {name: float(share @ means[part, label]) for name, means in streams.items()}
        score = float(share @ answers[part, label])
        segments.append(Segment(float(edges[first]), float(edges[stop]), labels[label], score, scores))
    return segments


def best_path(evidence: npt.NDArray[np.float64], penalty: float) -> npt.NDArray[np.int64]:
    """The states with the largest sum of evidence minus `penalty` for each change of state.

    Args:
        evidence: [steps, states].
        penalty: 0 or more.

    Returns:
        int64 [steps].
    """
    steps, states = evidence.shape
    best = np.empty((steps, states))
    came_from = np.zeros((steps, states), np.int64)
    best[0] = evidence[0]
    same = np.arange(states)
    for step in range(1, steps):
        before = best[step - 1]
        other = int(before.argmax())
        changes = before[other] - penalty > before
        came_from[step] = np.where(changes, other, same)
        best[step] = evidence[step] + np.where(changes, before[other] - penalty, before)
    path = np.empty(steps, np.int64)
    path[-1] = best[-1].argmax()
    for step in range(steps - 1, 0, -1):
        path[step - 1] = came_from[step, path[step]]
    return path
