"""Events: segments of a stream that are final, each given out once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ..results.calibration import Calibration
from ..timeline.model import WindowScore
from ..timeline.segments import (
    SHORTEST,
    SWITCH_PENALTY,
    Before,
    Evidence,
    closed_bins,
    decided_bins,
    labels_of_bins,
)
from ..timeline.timeline import Segment

__all__ = ["MAX_UNDECIDED", "Event", "EventJoiner"]

MAX_UNDECIDED: Final = 0.3
"""Seconds that a label may be undecided, in whole strides; then it is the best one so far."""

_MAX_LENGTH: Final = 60
"""Windows' lengths after which a segment is given out though it continues."""

_SAME_TIME: Final = 1e-3  # seconds


@dataclass(frozen=True)
class Event:
    """An action that a camera showed.

    Attributes:
        camera: its name.
        start, end: seconds since the camera's first picture; `end` is exclusive.
        label: the class.
        score: calibrated probability, mean over the event.
        latency: seconds from when the picture at `end` could have arrived to when the event was given out.
        time: start by the clock of this machine, ISO 8601 in UTC: when its first picture could have arrived.
            None for files.
    """

    camera: str
    start: float
    end: float
    label: str
    score: float
    latency: float
    time: str | None

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "camera": self.camera,
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "label": self.label,
            "score": round(self.score, 4),
            "latency": round(self.latency, 3),
            "time": self.time,
        }


class EventJoiner:
    """Joins the windows of a stream into segments as they come.

    They are those of :func:`moclip_lite.timeline.segments.join_windows` over all windows of the stream: a
    label is final when no window to come can change it, and a segment is given out when the label behind it
    is final. Where a label stays undecided for longer than `patience`, the best one so far is taken.

    Args:
        labels: class names.
        calibration: of the run.
        window, stride: in seconds.
        threshold: in place of the calibration's.
        patience: in seconds, of which whole strides count; no more than :data:`_MAX_LENGTH` windows' lengths.
    """

    def __init__(
        self,
        labels: Sequence[str],
        calibration: Calibration,
        *,
        window: float,
        stride: float,
        threshold: float | None,
        patience: float = MAX_UNDECIDED,
    ) -> None:
        self._labels, self._calibration, self._threshold = labels, calibration, threshold
        self._window, self._stride = window, stride
        self._patience = stride * (min(patience, _MAX_LENGTH * window) // stride)
        self._shortest = SHORTEST * window
        self._scores: list[WindowScore] = []  # those that reach up to what is decided, or behind it
        self._open: Segment | None = None  # decided up to its end, and may continue
        self._decided = self._latest = float("-inf")  # seconds; the start of the last window
        self._before: Before | None = None

    def add(self, score: WindowScore) -> list[Segment]:
        """Add the next window; returns the segments that are now final."""
        given: list[Segment] = []
        if score.end - score.start <= 2 * _SAME_TIME:  # of a single picture
            return given
        if score.start < self._latest - _SAME_TIME:
            given += self.finish()
        self._latest = score.start
        self._scores.append(score)
        return given + self._decide(score.start + self._stride)

    def finish(self) -> list[Segment]:
        """End the stream; returns the segments that are left."""
        given = self._decide(float("inf"))
        given += self._close()
        self._scores.clear()
        self._before = None
        return given

    def _decide(self, until: float) -> list[Segment]:
        """Decide what can be decided; windows to come reach no further back than `until` seconds."""
        # Those that end there keep a bin's edge.
        self._scores = [score for score in self._scores if score.end >= self._decided - _SAME_TIME]
        if not self._scores:
            return []
        evidence = Evidence.of(self._scores, self._labels, self._calibration, self._threshold)
        evidence = evidence.since(self._decided)
        if self._before is not None and evidence.edges[0] > self._decided + _SAME_TIME:  # no window there
            self._before = Before(0, float(evidence.edges[0]) - self._decided)
        rules = SWITCH_PENALTY, self._shortest, self._before
        if until == float("inf"):
            bins = len(evidence.values)
        else:
            overdue = int((evidence.edges[1:] <= until - self._patience + _SAME_TIME).sum())
            bins = max(decided_bins(evidence, until, *rules), overdue)
        if not bins:
            return []
        path = labels_of_bins(evidence, *rules)[:bins]
        given: list[Segment] = []
        for segment in evidence.segments(path, self._labels):
            given += self._extend(segment)
        self._decided = float(evidence.edges[bins])
        if self._open is not None and self._open.end < self._decided - _SAME_TIME:  # behind it is no action
            given += self._close()
        first = closed_bins(path)
        seconds = self._decided - float(evidence.edges[first])
        if not first and self._before is not None and self._before.state == path[-1]:
            seconds += self._before.seconds
        self._before = Before(int(path[-1]), seconds)
        return given

    def _extend(self, segment: Segment) -> list[Segment]:
        """Add a decided part: to the one before, if it continues that; a very long one is given in parts."""
        part = self._open
        if part is None or part.label != segment.label or segment.start > part.end + _SAME_TIME:
            given = self._close()
            self._open = segment
            return given
        lengths = part.end - part.start, segment.end - segment.start
        total = sum(lengths)

        def mean(a: float, b: float) -> float:
            return (a * lengths[0] + b * lengths[1]) / total

        scores = {name: mean(part.scores.get(name, 0.0), row) for name, row in segment.scores.items()}
        score = mean(part.score, segment.score)
        self._open = replace(part, end=segment.end, score=score, scores=scores)
        return self._close() if total >= _MAX_LENGTH * self._window else []

    def _close(self) -> list[Segment]:
        """Give out the kept part, unless it is the short rest of another."""
        part, self._open = self._open, None
        if part is None or part.end - part.start < self._shortest - _SAME_TIME:
            return []
        return [part]
