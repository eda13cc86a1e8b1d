"""Scores of timelines against a second implementation and against cases worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moclip_lite.errors import DataError
from moclip_lite.timeline.evaluate import (
    OVERLAPS,
    TimedLabel,
    average_precision,
    evaluate_timelines,
    temporal_iou,
)
from moclip_lite.timeline.timeline import Segment, Timeline
from moclip_lite.timeline.truth import read_truth


def _timeline(video: str, duration: float, found: Sequence[TimedLabel]) -> Timeline:
    segments = tuple(
        Segment(label.start, label.end, label.label, label.score, {})
        for label in found
        if label.video == video
    )
    return Timeline(video, duration, segments, (), ("a", "b"), 1.0, 0.25, 0.5)


def _random(rng: np.random.Generator, video: str) -> list[TimedLabel]:
    """Segments without overlap, of two classes, on a grid that makes equal overlaps common."""
    times = np.sort(rng.choice(np.arange(1, 80), 2 * int(rng.integers(0, 8)), replace=False)) / 4
    scores = rng.random(len(times)) + np.arange(len(times)) * 1e-6
    return [
        TimedLabel(video, float(times[i]), float(times[i + 1]), "ab"[int(rng.integers(2))], float(scores[i]))
        for i in range(0, len(times), 2)
    ]


def _brute_force(truth: list[TimedLabel], found: list[TimedLabel], overlap: float) -> float:
    """Average precision as ActivityNet's evaluation computes it, step by step."""
    taken: set[int] = set()
    hits: list[int] = []
    for segment in sorted(found, key=lambda label: label.score, reverse=True):
        best, best_share = None, overlap
        candidates = []
        for number, label in enumerate(truth):
            if label.video != segment.video:
                continue
            common = max(0.0, min(label.end, segment.end) - max(label.start, segment.start))
            union = label.end - label.start + segment.end - segment.start - common
            candidates.append((common / union, number))
        for share, number in sorted(candidates, key=lambda pair: (-pair[0], pair[1])):
            if share >= best_share and number not in taken:
                best = number
                break
        hits.append(0 if best is None else 1)
        if best is not None:
            taken.add(best)
    precision = [0.0] + [sum(hits[: i + 1]) / (i + 1) for i in range(len(hits))] + [0.0]
    recall = [0.0] + [sum(hits[: i + 1]) / len(truth) for i in range(len(hits))] + [1.0]
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    return sum((recall[i + 1] - recall[i]) * precision[i + 1] for i in range(len(recall) - 1))


@pytest.mark.parametrize("seed", range(40))
def test_average_precision_equals_the_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    videos = ("one", "two", "three")
    truth = [label for video in videos for label in _random(rng, video)]
    found = [label for video in videos for label in _random(rng, video)]
    found += [
        TimedLabel(label.video, label.start + 0.25, label.end, label.label, float(rng.random()))
        for label in truth
        if rng.random() < 0.5 and label.end - label.start > 0.25
    ]
    timelines = [_timeline(video, 20, found) for video in videos]
    scores = evaluate_timelines(timelines, truth) if truth else None
    for name in {label.label for label in truth}:
        ours = [label for label in truth if label.label == name]
        theirs = [label for label in found if label.label == name]
        for overlap in OVERLAPS:
            expected = _brute_force(ours, theirs, overlap)
            assert average_precision(ours, theirs, overlap)[0] == pytest.approx(expected)
            assert scores is not None
            assert scores.per_class[name][overlap] == pytest.approx(100 * expected)


def test_perfect_segments_score_a_hundred() -> None:
    truth = [TimedLabel("v", 1, 3, "a"), TimedLabel("v", 5, 6, "b")]
    scores = evaluate_timelines([_timeline("v", 10, truth)], truth)
    assert scores.average_precision == dict.fromkeys(OVERLAPS, 100)
    assert (scores.time_accuracy, scores.action_accuracy, scores.boundary_error) == (100, 100, 0)
    assert (scores.annotated, scores.found, scores.matched) == (2, 2, 2)


def test_time_accuracy_counts_what_is_none() -> None:
    truth = [TimedLabel("v", 2, 6, "a")]
    found = [TimedLabel("v", 4, 8, "a")]
    scores = evaluate_timelines([_timeline("v", 10, found)], truth)
    assert scores.time_accuracy == pytest.approx(60)  # 0 to 2, 4 to 6, 8 to 10
    assert scores.action_accuracy == pytest.approx(50)
    assert scores.average_precision[0.3] == 100  # intersection 2, union 6
    assert scores.average_precision[0.5] == 0
    assert scores.boundary_error is None


def test_a_class_that_is_called_none_is_a_class() -> None:
    truth = [TimedLabel("v", 0, 2, "walk"), TimedLabel("v", 2, 10, "none")]
    scores = evaluate_timelines([_timeline("v", 10, truth[:1])], truth)
    assert (scores.time_accuracy, scores.action_accuracy) == (pytest.approx(20), pytest.approx(20))


def test_annotations_before_the_first_picture_are_refused(tmp_path: Path) -> None:
    """The video of a recording may begin behind its sound."""
    (tmp_path / "v.mkv").write_bytes(b"")
    table = tmp_path / "truth.csv"
    timeline = replace(_timeline(str(tmp_path / "v.mkv"), 7, []), start=3.0)
    for rows, found in (("v.mkv,a,1,4\nv.mkv,b,5,7\n", [(3.0, 4.0), (5.0, 7.0)]), ("v.mkv,a,0,2\n", None)):
        table.write_text(f"video,label,start,end\n{rows}")
        truth = read_truth(table, ["a", "b"])
        if found is None:
            with pytest.raises(DataError, match=r"row 2, column end: 2 s is before .* shown at 3\.00 s"):
                truth.labels([timeline])
        else:
            assert [(label.start, label.end) for label in truth.labels([timeline])] == found


def test_nothing_found_and_other_labels_score_zero() -> None:
    truth = [TimedLabel("v", 2, 6, "a")]
    for found in ([], [TimedLabel("v", 2, 6, "b")]):
        scores = evaluate_timelines([_timeline("v", 10, found)], truth)
        assert set(scores.average_precision.values()) == {0}
        assert scores.action_accuracy == 0


def test_an_annotation_is_found_once() -> None:
    truth = [TimedLabel("v", 0, 4, "a")]
    found = [TimedLabel("v", 0, 4, "a", 0.9), TimedLabel("v", 0, 4, "a", 0.8)]
    assert average_precision(truth, found, 0.5)[0] == 1  # the false one comes after full recall
    assert average_precision(truth, found[::-1], 0.5)[0] == 1
    assert len(average_precision(truth, found, 0.5)[1]) == 1


def test_overlaps_of_segments() -> None:
    starts, ends = np.array([0.0, 1, 4, 2]), np.array([2.0, 3, 5, 2])
    assert temporal_iou(0, 2, starts, ends).tolist() == pytest.approx([1, 1 / 3, 0, 0])
