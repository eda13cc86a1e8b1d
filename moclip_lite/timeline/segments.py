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
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ..results.calibration import Calibration, temper
from ..streams import ANSWERS, Stream
from .model import WindowScore
from .timeline import NONE, Segment, TimelineWindow
from .viterbi import best_path, common_path

__all__ = [
    "SHORTEST",
    "SWITCH_PENALTY",
    "Before",
    "Evidence",
    "answering_stream",
    "closed_bins",
    "decided_bins",
    "join_windows",
    "labels_of_bins",
    "timeline_window",
]

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


def answering_stream(scores: Sequence[WindowScore]) -> str:
    """The stream that answers a video: the first one of :data:`ANSWERS` that answers any of its windows."""
    streams = {score.stream for score in scores if score.stream is not None}
    return next((str(stream) for stream in ANSWERS if str(stream) in streams), next(iter(streams), ""))


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
    if shortest is None:
        shortest = SHORTEST * float(np.median([score.end - score.start for score in scores]))
    evidence = Evidence.of(scores, labels, calibration, threshold)
    if not len(evidence.values):  # all pictures have one time
        return []
    return evidence.segments(labels_of_bins(evidence, penalty, shortest), labels)


@dataclass(frozen=True)
class Evidence:
    """What windows say of each bin of time.

    Attributes:
        edges: float64 [bins + 1], seconds.
        values: float64 [bins, 1 + classes], evidence for "none" (0) and for the classes.
        answers: float64 [bins, classes], mean probabilities of the stream that answers.
        streams: name -> float64 [bins, classes], likewise.
    """

    edges: Times
    values: Times
    answers: Times
    streams: Mapping[str, Times]

    @classmethod
    def of(
        cls,
        scores: Sequence[WindowScore],
        labels: Sequence[str],
        calibration: Calibration,
        threshold: float | None = None,
    ) -> Evidence:
        """Of windows; see :func:`join_windows`."""
        return _evidence(scores, labels, calibration, threshold)

    def since(self, time: float) -> Evidence:
        """The bins after a time, the one that it cuts included."""
        first = int(np.searchsorted(self.edges[1:], time + _SAME_TIME, side="right"))
        streams = {name: means[first:] for name, means in self.streams.items()}
        return Evidence(self.edges[first:], self.values[first:], self.answers[first:], streams)

    def segments(self, path: npt.NDArray[np.int64], labels: Sequence[str]) -> list[Segment]:
        """Equal neighbours of a path over the first bins, joined; state 0 is none."""
        return _segments(path, self.edges[: len(path) + 1], self.answers, self.streams, labels)


def _evidence(
    scores: Sequence[WindowScore], labels: Sequence[str], calibration: Calibration, threshold: float | None
) -> Evidence:
    bins = _Bins(scores)
    limits, answers = bins.sums(1), bins.sums(len(labels))
    streams = {name: bins.sums(len(labels)) for name in sorted({n for score in scores for n in score.scores})}
    fallback = calibration.of(answering_stream(scores)).threshold
    answered = bins.sums(1)
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
            answered.add(cover, np.ones(1))
        answers.add(cover, answer)
    evidence = _log_odds(answers.mean()) - _log_odds(limits.mean())
    evidence[answered.weights == 0] = _log_odds(np.zeros(1))  # no class there, whatever the threshold
    evidence = np.concatenate([np.zeros((len(evidence), 1)), evidence], axis=1)
    means = {name: sums.mean() for name, sums in streams.items()}
    return Evidence(bins.edges, evidence, answers.mean(), means)


class Before(NamedTuple):
    """What is decided of the time before the first bin: its last state, and for how many seconds it holds."""

    state: int
    seconds: float


def labels_of_bins(
    evidence: Evidence, penalty: float, shortest: float, before: Before | None = None
) -> npt.NDArray[np.int64]:
    """The best path without segments shorter than `shortest` seconds: their labels are ruled out there, and
    the path is chosen again. int64 [bins]."""
    values = evidence.values.copy()
    while True:
        path = best_path(values, penalty, None if before is None else before.state)
        if not _rule_out_short(values, path, evidence.edges, shortest, before):
            return path


def decided_bins(
    evidence: Evidence, until: float, penalty: float, shortest: float, before: Before | None = None
) -> int:
    """How many of the first bins have a label that no window to come can change.

    Evidence up to `until` is final. Whatever follows, the best path goes through one of the states of the
    last final bin: where the best paths to all of them agree, nothing can change it. A segment that is not
    closed there, and shorter than `shortest`, may still be given up.

    Args:
        evidence: of all windows so far.
        until: seconds; windows to come reach no further back.
        penalty, shortest: as in :func:`join_windows`.
        before: the decided time before the first bin.
    """
    bins = int(np.searchsorted(evidence.edges[1:], until + _SAME_TIME, side="right"))
    values = evidence.values[:bins].copy()
    while bins:
        path = common_path(values[:bins], penalty, None if before is None else before.state)
        bins, closed = len(path), closed_bins(path)
        if not bins:
            break
        if path[closed] and _length(evidence.edges, path, closed, bins, before) < shortest - _SAME_TIME:
            bins = closed
        if not _rule_out_short(values, path[:closed], evidence.edges, shortest, before):
            break
    return bins


def closed_bins(path: npt.NDArray[np.int64]) -> int:
    """Bins before the last segment of a path, which may go on."""
    changes = np.flatnonzero(np.diff(path))
    return int(changes[-1]) + 1 if len(changes) else 0


def _length(edges: Times, path: npt.NDArray[np.int64], first: int, stop: int, before: Before | None) -> float:
    """Seconds of a segment, with those before the first bin."""
    seconds = float(edges[stop] - edges[first])
    return seconds + (before.seconds if before and not first and path[0] == before.state else 0.0)


def _rule_out_short(
    values: Times, path: npt.NDArray[np.int64], edges: Times, shortest: float, before: Before | None
) -> bool:
    """Rule out the labels of short segments where they are; tells whether there were any."""
    if not len(path):
        return False
    bounds = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), len(path)]
    short = [
        (first, stop)
        for first, stop in itertools.pairwise(bounds)
        if path[first] and _length(edges, path, first, stop, before) < shortest - _SAME_TIME
    ]
    for first, stop in short:
        values[first:stop, path[first]] = -np.inf
    return bool(short)


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
        kept: list[float] = []
        for time in sorted({time for score in scores for time in (score.start, score.end)}):
            if not kept or time - kept[-1] > _SAME_TIME:
                kept.append(time)
        self.edges: Times = np.array(kept)
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
