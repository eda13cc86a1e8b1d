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

_MAX_WINDOWS: Final = 16
"""Windows that are joined at a time: of a longer segment, the first part is kept as it is."""

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

    Segments are those of :func:`moclip_lite.timeline.segments.join_windows` over the windows so far. One is
    final when no window to come reaches into it; it is given out then, and once only. What a segment given
    out covers belongs to no other.

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
        self._open: Segment | None = None  # final up to its end, and may continue
        self._final_until = float("-inf")

    def add(self, score: WindowScore) -> list[Segment]:
        """Add the next window; returns the segments that are now final."""
        given: list[Segment] = []
        if score.end - score.start <= 2 * _SAME_TIME:  # of a single picture
            return given
        if self._scores and score.start < self._scores[-1].start - _SAME_TIME:
            given += self.finish()
        self._scores.append(score)
        until = score.start + self._stride  # windows to come reach no further back
        return given + self._join(until)

    def finish(self) -> list[Segment]:
        """End the stream; returns the segments that are left."""
        given = self._join(float("inf"))
        given += self._close()
        self._scores.clear()
        return given

    def _join(self, until: float) -> list[Segment]:
        """Join the windows; returns the segments that are final by a time."""
        joined = join_windows(
            self._scores,
            self._labels,
            self._calibration,
            threshold=self._threshold,
            shortest=self._window / 2,
        )
        given: list[Segment] = []
        waiting: Segment | None = None
        for segment in joined:
            start = max(segment.start, self._final_until)
            if segment.end <= start + _SAME_TIME:
                continue
            rest = replace(segment, start=start)
            if segment.end <= until + _SAME_TIME:
                given += self._extend(rest)
            elif len(self._scores) >= _MAX_WINDOWS and until > start:
                given += self._extend(replace(rest, end=until))
            else:
                waiting = rest
                break
        first = until if waiting is None else waiting.start
        if len(self._scores) >= _MAX_WINDOWS:
            first = until
        if self._open is not None and not self._goes_on(waiting, until):
            given += self._close()
        self._scores = [score for score in self._scores if score.end > min(first, until)]
        return given

    def _goes_on(self, waiting: Segment | None, until: float) -> bool:
        """Whether the kept part may be continued by what is not final yet."""
        part = self._open
        assert part is not None
        if until <= part.end + _SAME_TIME:
            return part.end - part.start < _MAX_LENGTH * self._window
        if waiting is None or waiting.label != part.label:
            return False
        return waiting.start <= part.end + _SAME_TIME

    def _extend(self, segment: Segment) -> list[Segment]:
        """Add a final part: to the one before, if it continues that."""
        self._final_until = segment.end
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
        return []

    def _close(self) -> list[Segment]:
        """Give out the kept part, unless it is the short rest of another."""
        part, self._open = self._open, None
        if part is None or part.end - part.start < self._window / 2 - _SAME_TIME:
            return []
        return [part]
