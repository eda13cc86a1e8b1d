"""From window scores to segments; the threshold and "none"; what is written."""

from __future__ import annotations

import itertools
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from moclip_lite.results.calibration import Calibration, StreamCalibration, fit_stream, still_energy, temper
from moclip_lite.timeline.model import WindowScore
from moclip_lite.timeline.segments import answering_stream, join_windows, timeline_window
from moclip_lite.timeline.timeline import Segment, Timeline, clock
from moclip_lite.timeline.viterbi import best_path

from support.clips import encode, panning

LABELS = ("run", "jump", "sit")
CALIBRATION = Calibration(
    4.0, 0.5, {"motion": StreamCalibration(1.0, 0.5), "appearance": StreamCalibration()}
)


def _windows(
    labels: list[int | None], sure: float = 0.95, energy: float = 3.0, stream: str = "motion"
) -> list[WindowScore]:
    """Windows of 4 s each second; None is a uniform answer."""
    scores = []
    for second, label in enumerate(labels):
        row = np.full(3, 1 / 3, np.float32)
        if label is not None:
            row[:] = (1 - sure) / 2
            row[label] = sure
        scores.append(WindowScore(float(second), second + 4.0, {stream: row}, energy))
    return scores


def _found(scores: list[WindowScore], **options: float) -> list[tuple[str, float, float]]:
    segments = join_windows(scores, LABELS, CALIBRATION, **options)
    for one, other in itertools.pairwise(segments):
        assert one.end <= other.start
    return [(segment.label, segment.start, segment.end) for segment in segments]


def test_equal_neighbours_are_joined_and_changes_lie_between_them() -> None:
    (first, *one), (second, *other) = _found(_windows([0] * 8 + [1] * 8))
    assert (first, second) == ("run", "jump")
    assert one == pytest.approx([0, 9.5], abs=0.5)  # the middles of windows are at 2 to 9, and at 10 to 17
    assert other == pytest.approx([9.5, 19], abs=0.5)


def test_pictures_of_one_time_have_no_segments() -> None:
    score = WindowScore(1.0, 1.0, {"motion": np.array([0.9, 0.05, 0.05], np.float32)}, 3.0, "motion")
    assert _found([score]) == []
    assert _found([score, score]) == []


def test_windows_that_are_not_sure_are_none() -> None:
    assert _found(_windows([None] * 10)) == []
    (_, *one), (_, *other) = _found(_windows([0] * 6 + [None] * 10 + [1] * 6))
    assert one == pytest.approx([0, 7.5], abs=0.5)
    assert other == pytest.approx([17.5, 25], abs=0.5)
    assert _found(_windows([None] * 10), threshold=0.2) != []


def test_still_windows_are_none_for_motion_and_not_for_appearance() -> None:
    assert _found(_windows([0] * 8, energy=0.2)) == []
    assert _found(_windows([0] * 8, energy=0.2, stream="appearance")) == [("run", 0, 11)]


@pytest.mark.parametrize("threshold", [0.0, 1e-4, 1e-3, 0.4])
def test_what_no_window_answers_is_of_no_class_at_any_threshold(threshold: float) -> None:
    still = [
        replace(score, start=score.start + 8, end=score.end + 8) for score in _windows([0] * 9, energy=0.2)
    ]
    after = [replace(score, start=score.start + 17, end=score.end + 17) for score in _windows([1] * 5)]
    (_, *one), (_, *other) = _found(_windows([0] * 8) + still + after, threshold=threshold)
    assert one == pytest.approx([0, 11], abs=1)
    assert other == pytest.approx([17, 25], abs=1)


def test_times_that_are_close_do_not_join_in_a_chain() -> None:
    scores = [replace(s, start=s.start / 2000, end=s.start / 2000 + 0.1) for s in _windows([0] * 400)]
    ((_, start, end),) = _found(scores, shortest=0.0)
    assert (start, end) == pytest.approx((0.0, 0.3), abs=0.01)


def test_the_stream_that_answers_a_video_is_the_first_of_any_window() -> None:
    """The first window may have no motion."""
    rows = [_windows([0], stream=stream)[0] for stream in ("appearance", "motion")]
    assert answering_stream(rows) == "appearance"
    assert answering_stream(rows[1:]) == "motion"
    assert answering_stream([WindowScore(0.0, 4.0, problem="damaged")]) == ""


def test_one_odd_window_does_not_split_a_segment() -> None:
    assert _found(_windows([0] * 6 + [1] + [0] * 6)) == [("run", 0, 16)]


def test_short_segments_are_given_up() -> None:
    labels = [0] * 6 + [1] * 2 + [0] * 6
    assert len(_found(_windows(labels), shortest=0.0)) >= 1
    for label, start, end in _found(_windows(labels), shortest=3.0):
        assert end - start >= 3, label


def test_windows_with_a_gap_between_them() -> None:
    scores = _windows([0] * 4)
    scores += [WindowScore(s.start + 100, s.end + 100, s.scores, s.energy) for s in _windows([0] * 4)]
    assert _found(scores) == [("run", 0, 7), ("run", 100, 107)]


def test_windows_without_scores_are_none() -> None:
    scores = _windows([0] * 8) + [WindowScore(8.0 + i, 12.0 + i, problem="damaged") for i in range(6)]
    assert [label for label, _, _ in _found(scores)] == ["run"]
    window = timeline_window(scores[-1], LABELS, CALIBRATION)
    assert (window.label, window.score, window.problem) == ("none", 0, "damaged")
    assert _found(scores[8:]) == []
    assert _found([]) == []


def test_a_segment_tells_every_stream() -> None:
    motion, appearance = _windows([0] * 4), _windows([0] * 4, sure=0.6, stream="appearance")
    scores = [
        WindowScore(m.start, m.end, {**m.scores, **a.scores}, 3.0)
        for m, a in zip(motion, appearance, strict=True)
    ]
    (segment,) = join_windows(scores, LABELS, CALIBRATION)
    assert segment.scores == pytest.approx({"motion": 0.95, "appearance": 0.6}, abs=1e-6)
    assert segment.score == pytest.approx(0.6, abs=1e-6)  # appearance comes before motion in answering


@pytest.mark.parametrize("seed", range(20))
def test_the_best_path_is_the_best(seed: int) -> None:
    rng = np.random.default_rng(seed)
    evidence, penalty = rng.normal(0, 2, (6, 3)), float(rng.uniform(0, 3))

    def value(path: tuple[int, ...]) -> float:
        changes = sum(a != b for a, b in itertools.pairwise(path))
        return float(sum(evidence[i, state] for i, state in enumerate(path)) - penalty * changes)

    best = max(itertools.product(range(3), repeat=6), key=value)
    assert value(tuple(best_path(evidence, penalty).tolist())) == pytest.approx(value(best))


# Calibration


def test_a_temperature_softens_a_stream_that_is_too_sure() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 4, 400)
    answers = np.where(rng.random(400) < 0.6, targets, rng.integers(0, 4, 400))
    scores = np.full((400, 4), 0.001, np.float32)
    scores[np.arange(400), answers] = 0.997
    stream = fit_stream(scores, targets)
    assert stream.temperature > 2
    sure = temper(scores, stream.temperature).max(axis=1).mean()
    assert sure == pytest.approx((answers == targets).mean(), abs=0.03)
    assert stream.accuracy == pytest.approx(100 * (answers == targets).mean())


def test_thresholds_keep_right_answers() -> None:
    rng = np.random.default_rng(1)
    scores = rng.dirichlet(np.ones(20) * 0.3, 200).astype(np.float32)
    stream = fit_stream(scores, scores.argmax(axis=1))
    assert 0 < stream.threshold <= 0.4
    assert (temper(scores, stream.temperature).max(axis=1) >= stream.threshold).mean() >= 0.95
    nothing_right = fit_stream(np.eye(3, dtype=np.float32)[[0, 1]], np.array([1, 2]))
    assert nothing_right.accuracy == 0
    assert 0 <= nothing_right.threshold <= 0.4


@pytest.mark.parametrize("right", [2, 16, 21, 30])
def test_the_threshold_is_reached_by_95_percent_of_few_right_answers(right: int) -> None:
    """A number between the lowest two would leave 1 of 16 out."""
    scores = np.full((right, 10), 0.09, np.float32)
    scores[:, 0] = np.linspace(0.11, 0.2, right)
    stream = fit_stream(scores / scores.sum(axis=1, keepdims=True), np.zeros(right, np.int64))
    sure = temper(scores / scores.sum(axis=1, keepdims=True), stream.temperature).max(axis=1)
    assert stream.threshold < 0.4
    assert (sure >= stream.threshold).mean() >= 0.95


@pytest.mark.parametrize(("clips", "classes"), [(1, 2), (1, 1), (3, 5)])
def test_few_clips_calibrate(clips: int, classes: int) -> None:
    scores = np.full((clips, classes), 1 / classes, np.float32)
    stream = fit_stream(scores, np.zeros(clips, np.int64))
    assert np.isfinite([stream.temperature, stream.threshold]).all()


def test_least_motion_is_half_of_the_stillest_clips() -> None:
    assert still_energy(np.array([2.0] * 50)) == pytest.approx(1.0)
    assert still_energy(np.array([0.0, 0.0])) == 0  # clips of I pictures only say nothing of motion
    assert still_energy(np.array([])) == 0


# Files


def _timeline(label: str = 'a "label", <b>& more\n-->') -> Timeline:
    segments = (Segment(1.25, 62.5, label, 0.876, {"motion": 0.876}), Segment(3700.0, 3701.0, "x=1;#\\", 0.5))
    return Timeline("clip, 1.mp4", 4000.0, segments, (), (label, "x"), 4.0, 1.0, 0.4)


def test_csv_has_the_columns_of_an_annotation_table() -> None:
    import csv
    import io

    rows = list(csv.reader(io.StringIO(_timeline().to_csv())))
    assert rows[0] == ["video", "start", "end", "label", "score"]
    assert rows[1] == ["clip, 1.mp4", "1.250", "62.500", 'a "label", <b>& more\n-->', "0.8760"]
    assert _timeline().to_csv(header=False).startswith('"clip, 1.mp4"')


def test_vtt_is_escaped() -> None:
    cues = _timeline().to_vtt().split("\n\n")
    assert cues[0] == "WEBVTT"
    assert cues[1] == '00:00:01.250 --> 00:01:02.500\na "label", &lt;b&gt;&amp; more --&gt; 88 %'
    assert cues[2].startswith("01:01:40.000 --> 01:01:41.000\n")


def test_chapters_are_escaped() -> None:
    lines = _timeline().to_ffmetadata().splitlines()
    assert lines[5:10] == ["title=none", "[CHAPTER]", "TIMEBASE=1/1000", "START=1250", "END=62500"]
    assert "title=x\\=1\\;\\#\\\\ " in lines  # libavformat takes a last backslash for the line's end


def test_libavformat_reads_the_chapters(tmp_path: Path) -> None:
    labels = ["a\\", "b=1;#2", "c", "\\", "d"]
    segments = tuple(Segment(float(i), i + 1.0, label, 0.9) for i, label in enumerate(labels))
    path = tmp_path / "chapters.txt"
    timeline = replace(_timeline(), segments=segments, duration=5.0, start=0.0)
    path.write_text(timeline.to_ffmetadata(), encoding="utf-8")
    with av.open(str(path), format="ffmetadata") as container:
        titles = [chapter["metadata"]["title"].rstrip() for chapter in container.chapters()]
    assert titles == labels


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_chapters_of_a_video_do_not_cover_what_has_no_label(ending: str, tmp_path: Path) -> None:
    """Those of MP4 have no gaps."""
    spans = ((0.52, 1.0, "a"), (1.0, 1.2, "b"), (1.6, 2.0, "a"))
    timeline = replace(_timeline(), segments=tuple(Segment(*s, 0.9) for s in spans), duration=2.4, start=0.0)
    (tmp_path / "chapters.txt").write_text(timeline.to_ffmetadata(), encoding="utf-8")
    video = encode(tmp_path / "a.mp4", panning(60))
    target = tmp_path / f"b.{ending}"
    options = ["-map_metadata", "1", "-codec", "copy", target]
    program = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run(
        [program, "-v", "error", "-i", video, "-i", tmp_path / "chapters.txt", *options], check=True
    )
    with av.open(str(target)) as container:
        found = [
            (float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]), c["metadata"]["title"])
            for c in container.chapters()
        ]
    gaps = [(0.0, 0.52, "none"), (1.2, 1.6, "none"), (2.0, 2.4, "none")]
    expected = sorted([*spans, *gaps])
    assert [title for *_, title in found] == [title for *_, title in expected]
    np.testing.assert_allclose([times[:2] for times in found], [times[:2] for times in expected], atol=0.01)


def test_json_is_plain() -> None:
    document = json.loads(json.dumps(_timeline().to_json(), allow_nan=False))
    assert document["segments"][0]["scores"] == {"motion": 0.876}
    assert document["threshold"] == 0.4


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0:00"), (59.6, "1:00"), (65, "1:05"), (3599.9, "1:00:00"), (3661, "1:01:01")]
)
def test_clocks(seconds: float, words: str) -> None:
    assert clock(seconds) == words
    assert clock(65.25, 1) == "1:05.2"
