"""Timelines against annotated segments: mean average precision at overlaps, and accuracy over time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .timeline import Timeline

__all__ = [
    "OVERLAPS",
    "SegmentScores",
    "TimedLabel",
    "average_precision",
    "evaluate_timelines",
    "temporal_iou",
]

OVERLAPS: Final = (0.3, 0.5, 0.7)
"""Temporal intersection over union from which on a segment counts as found."""


@dataclass(frozen=True)
class TimedLabel:
    """A label from `start` to `end` seconds of a video."""

    video: str
    start: float
    end: float
    label: str
    score: float = 1.0


@dataclass(frozen=True)
class SegmentScores:
    """Scores of timelines.

    Attributes:
        average_precision: overlap -> mean over the annotated classes, in percent.
        per_class: class -> overlap -> average precision in percent.
        time_accuracy: percent of the videos' time with the right label, "none" among them; with a constant
            frame rate the frame accuracy.
        action_accuracy: the same over annotated time only; None if there is none.
        boundary_error: median distance in seconds of starts and ends from those annotated, over segments that
            match an annotation at the overlap 0.5; None if none does.
        matched, annotated, found: numbers of segments.
        seconds: total length of the videos.
    """

    average_precision: Mapping[float, float]
    per_class: Mapping[str, Mapping[float, float]]
    time_accuracy: float
    action_accuracy: float | None
    boundary_error: float | None
    matched: int
    annotated: int
    found: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""

        def named(values: Mapping[float, float]) -> dict[str, float]:
            return {f"{overlap:g}": round(value, 2) for overlap, value in values.items()}

        return {
            "map": named(self.average_precision),
            "frame_accuracy": round(self.time_accuracy, 2),
            "action_accuracy": None if self.action_accuracy is None else round(self.action_accuracy, 2),
            "boundary_error": None if self.boundary_error is None else round(self.boundary_error, 3),
            "matched": self.matched,
            "annotated": self.annotated,
            "found": self.found,
            "seconds": round(self.seconds, 3),
            "per_class": {label: named(values) for label, values in self.per_class.items()},
        }


def temporal_iou(
    start: float, end: float, starts: npt.NDArray[np.float64], ends: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Intersection over union of a segment with others, [N]."""
    common = np.clip(np.minimum(end, ends) - np.maximum(start, starts), 0, None)
    union = (ends - starts) + (end - start) - common
    return np.asarray(common / np.maximum(union, np.finfo(float).tiny))


def average_precision(
    truth: Sequence[TimedLabel], answers: Sequence[TimedLabel], overlap: float
) -> tuple[float, list[tuple[TimedLabel, TimedLabel]]]:
    """Average precision of one class, as ActivityNet's evaluation defines it.

    Segments are taken in the order of their scores. Each takes the annotation of its video with the largest
    overlap that is not taken yet, if that reaches `overlap`; otherwise it is a false positive. Precision is
    made monotone, and the area under it is summed over recall.

    Args:
        truth, answers: of one class.
        overlap: least intersection over union.

    Returns:
        (average precision from 0 to 1, pairs of annotation and segment).
    """
    by_video: dict[str, list[int]] = {}
    for number, label in enumerate(truth):
        by_video.setdefault(label.video, []).append(number)
    taken: set[int] = set()
    pairs: list[tuple[TimedLabel, TimedLabel]] = []
    hits = np.zeros(len(answers))
    for rank, segment in enumerate(sorted(answers, key=lambda segment: -segment.score)):
        numbers = by_video.get(segment.video, [])
        starts, ends = (np.array([getattr(truth[n], side) for n in numbers]) for side in ("start", "end"))
        shares = temporal_iou(segment.start, segment.end, starts, ends)
        for place in np.argsort(-shares, kind="stable").tolist():
            if shares[place] < overlap:
                break
            if numbers[place] not in taken:
                taken.add(numbers[place])
                hits[rank] = 1
                pairs.append((truth[numbers[place]], segment))
                break
    right = np.cumsum(hits)
    precision = np.concatenate([right / np.arange(1, len(answers) + 1), [0.0]])
    recall = np.concatenate([[0.0], right / max(len(truth), 1)])
    monotone = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall) * monotone[: len(answers)]).sum()), pairs


def evaluate_timelines(
    timelines: Sequence[Timeline], truth: Sequence[TimedLabel], overlaps: Sequence[float] = OVERLAPS
) -> SegmentScores:
    """Score timelines against annotations.

    Args:
        timelines: one a video; `path` is the video's name in the annotations.
        truth: annotations; those of one video don't overlap.
        overlaps: see :data:`OVERLAPS`.
    """
    answers = [
        TimedLabel(timeline.path, segment.start, segment.end, segment.label, segment.score)
        for timeline in timelines
        for segment in timeline.segments
    ]
    classes = sorted({label.label for label in truth})
    by_class = {name: _of_class(truth, name) for name in classes}
    per_class: dict[str, dict[float, float]] = {name: {} for name in classes}
    for name in classes:
        for overlap in overlaps:
            per_class[name][overlap] = (
                100 * average_precision(by_class[name], _of_class(answers, name), overlap)[0]
            )
    matches = [
        pair
        for name in classes
        for pair in average_precision(by_class[name], _of_class(answers, name), 0.5)[1]
    ]
    errors = [abs(a - b) for t, f in matches for a, b in ((t.start, f.start), (t.end, f.end))]
    right, annotated_right, annotated, seconds = np.sum(
        [_time_right(timeline, _of_video(truth, timeline.path)) for timeline in timelines], axis=0
    ).tolist()
    return SegmentScores(
        {overlap: float(np.mean([per_class[name][overlap] for name in classes])) for overlap in overlaps},
        per_class,
        100 * right / max(seconds, 1e-9),
        100 * annotated_right / annotated if annotated else None,
        float(np.median(errors)) if errors else None,
        len(matches),
        len(truth),
        len(answers),
        seconds,
    )


def _of_class(labels: Iterable[TimedLabel], name: str) -> list[TimedLabel]:
    return [label for label in labels if label.label == name]


def _of_video(labels: Iterable[TimedLabel], video: str) -> list[TimedLabel]:
    return [label for label in labels if label.video == video]


def _time_right(timeline: Timeline, truth: Sequence[TimedLabel]) -> tuple[float, float, float, float]:
    """Seconds with the right label, those of them that are annotated, annotated seconds, all seconds."""
    first, last = timeline.start, timeline.start + timeline.duration
    spans = [(s.start, s.end) for s in timeline.segments] + [(t.start, t.end) for t in truth]
    edges = np.unique(np.clip([first, last, *(time for span in spans for time in span)], first, last))
    middles, lengths = (edges[:-1] + edges[1:]) / 2, np.diff(edges)
    wanted = _labels_at(middles, [(t.start, t.end, t.label) for t in truth])
    given = _labels_at(middles, [(s.start, s.end, s.label) for s in timeline.segments])
    right = np.array([a == b for a, b in zip(wanted, given, strict=True)], bool)
    annotated = np.array([name is not None for name in wanted], bool)
    return (
        float(lengths[right].sum()),
        float(lengths[right & annotated].sum()),
        float(lengths[annotated].sum()),
        float(lengths.sum()),
    )


def _labels_at(times: npt.NDArray[np.float64], spans: Sequence[tuple[float, float, str]]) -> list[str | None]:
    """The label at each time; None where there is none, as a class may be called "none"."""
    labels: list[str | None] = [None] * len(times)
    for start, end, label in spans:
        first, stop = np.searchsorted(times, (start, end))
        labels[first:stop] = [label] * (stop - first)
    return labels
