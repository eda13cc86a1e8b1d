"""Events: segments of a stream that are final, each given out once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ..results.calibration import Calibration
from ..timeline.model import WindowScore
from ..timeline.segments import join_windows
from ..timeline.timeline import Segment

__all__ = ["Event", "EventJoiner"]

_MAX_WINDOWS: Final = 64
"""Windows that wait for the end of a segment: a longer one is given out in parts."""

_SAME_TIME: Final = 1e-3  # seconds


@dataclass(frozen=True)
class Event:
    """An action that a camera showed.

    Attributes:
        camera: its name.
        start, end: seconds since the camera's first picture; `end` is exclusive.
        label: the class.
        score: calibrated probability, mean over the event.
        latency: seconds from when the picture at `end` could be here to when the event was given out.
        time: start by the clock of this machine, ISO 8601 in UTC.
    """

    camera: str
    start: float
    end: float
    label: str
    score: float
    latency: float
    time: str

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

    Segments are those of :func:`moclip_lite.timeline.segments.join_windows` over the windows so far. One is final
    when no window to come reaches into it; it is given out then, and once only. What a segment given out covers
    belongs to no other.

    Args:
        labels: class names.
        calibration: of the run.
        window, stride: in seconds.
        threshold: in place of the calibration's.
    """

    def __init__(
        self,
        labels: Sequence[str],
        calibration: Calibration,
        *,
        window: float,
        stride: float,
        threshold: float | None,
    ) -> None:
        self._labels, self._calibration, self._threshold = labels, calibration, threshold
        self._window, self._stride = window, stride
        self._scores: list[WindowScore] = []
        self._given_until = float("-inf")

    def add(self, score: WindowScore) -> list[Segment]:
        """Add the next window; returns the segments that are now final."""
        segments = []
        if self._scores and score.start < self._scores[-1].start - _SAME_TIME:
            segments += self.finish()
        self._scores.append(score)
        final_until = score.start + self._stride
        segments += self._final(final_until + _SAME_TIME)
        if len(self._scores) >= _MAX_WINDOWS:
            segments += self._final(float("inf"))
            self._forget(score.start)
        return segments

    def finish(self) -> list[Segment]:
        """End the stream; returns the segments that are left."""
        segments = self._final(float("inf"))
        self._scores.clear()
        return segments

    def _final(self, until: float) -> list[Segment]:
        """Segments that end by a time and were not given out."""
        given = []
        joined = join_windows(
            self._scores,
            self._labels,
            self._calibration,
            threshold=self._threshold,
            shortest=self._window / 2,
        )
        for segment in joined:
            start = max(segment.start, self._given_until)
            if segment.end > until or segment.end <= start + _SAME_TIME:
                continue
            is_rest = start > segment.start and segment.end - start < self._window / 2 - _SAME_TIME
            self._given_until = segment.end
            if not is_rest:
                given.append(replace(segment, start=start))
        # Windows before the last open segment decide nothing any more.
        waiting = [segment.start for segment in joined if segment.end > until]
        self._forget(min([*waiting, until - self._window]))
        return given

    def _forget(self, before: float) -> None:
        self._scores = [score for score in self._scores if score.end > before]
