"""Windows of a stream that share segments: each is encoded once, and scores are those of its windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from moclip_lite import Classifier
from moclip_lite.motion.read import FieldReader, assemble_motion
from moclip_lite.timeline.geometry import FrameGeometry
from moclip_lite.timeline.model import WindowModel, WindowScore
from moclip_lite.timeline.scorer import WindowScorer
from mv_tools import MalformedStream, MotionDecoder, MotionFrame

from support.clips import encode, panning
from support.stream import Packets, read_stream
from support.timeline import untrained

GEOMETRY = FrameGeometry(96, 64)
WINDOW = 1.0


class Counting:
    """Forwards to a classifier and counts what it encodes."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier, self.segments, self.windows = classifier, 0, 0
        self.seen: list[npt.NDArray[np.float16]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.classifier, name)

    @property
    def motion(self) -> Counting:
        return self

    @property
    def encodes_segments(self) -> bool:
        return self.classifier.engine.encodes_segments

    def segment_features(self, motion: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
        self.segments += len(motion)
        self.seen += list(motion)
        return self.classifier.engine.segment_features(motion)

    def window_features(self, segments: npt.NDArray[np.float32]) -> Any:
        return self.classifier.engine.window_features(segments)

    def motion_features(self, motion: npt.NDArray[np.float16]) -> Any:
        self.windows += 1
        return self.classifier.engine.motion_features(motion)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[MotionFrame]:
    """96 pictures, 24 of them a second, with B pictures and a keyframe every second."""
    path = tmp_path_factory.mktemp("shared") / "clip.mp4"
    pictures = panning(96, 96, 64, (2, 1))
    return list(MotionDecoder(encode(path, pictures, rate=24, g="24", bf="2")))


def timed(frames: list[MotionFrame], rate: float) -> Iterator[tuple[MotionFrame, float]]:
    for frame in frames:
        yield frame, frame.index / rate


@pytest.mark.parametrize("rate", [24.0, 11.0, 60.0])
def test_scores_are_those_of_the_segments_pictures(
    frames: list[MotionFrame], rate: float, tmp_path: Path
) -> None:
    model = Counting(untrained(tmp_path, heads=False))
    scorer = WindowScorer(model, GEOMETRY, window=WINDOW, share=True)
    spec, reader = model.experiment.motion, FieldReader(model.experiment.motion, GEOMETRY)
    fields = {frame.index: reader.read(frame) for frame in frames}
    moving = [frame.index for frame in frames if not frame.is_keyframe]
    count = 0
    for frame, seconds in timed(frames, rate):
        for score in scorer.push(frame, seconds):
            whole = np.stack(model.seen[-spec.segments :])
            _, scores = model.classifier.engine.motion_features(whole)
            np.testing.assert_allclose(score.scores["motion"], scores, atol=1e-6)
            assert score.energy == pytest.approx(
                float(np.hypot(*np.moveaxis(whole.astype(float), 2, 0)).mean()), rel=1e-3
            )
            count += 1
    assert count == int((95 / rate - WINDOW) / (WINDOW / 4) + 1e-9) + 1
    assert model.segments == spec.segments + (count - 1) * spec.segments // 4
    assert not model.windows
    # The pictures of a segment lie around its middle, and in its window's stride.
    slot = WINDOW / spec.segments
    for number, motion in enumerate(model.seen):
        chosen = [n for n in moving if abs(n / rate - (number + 0.5) * slot) <= slot + 3 / rate]
        candidates = assemble_motion(fields, np.array([chosen]), spec)[0]
        assert all(any(np.array_equal(field, other) for other in candidates) for field in motion)


def test_nearly_the_scores_of_whole_windows(frames: list[MotionFrame], tmp_path: Path) -> None:
    classifier = untrained(tmp_path, heads=False)
    both = [WindowScorer(classifier, GEOMETRY, window=WINDOW, share=share) for share in (True, False)]
    for frame, seconds in timed(frames, 24):
        one, other = (scorer.push(frame, seconds) for scorer in both)
        assert [(s.start, s.end) for s in one] == [(s.start, s.end) for s in other]
        for shared, alone in zip(one, other, strict=True):
            np.testing.assert_allclose(shared.scores["motion"], alone.scores["motion"], atol=0.05)


def test_windows_left_out_and_time_that_begins_anew(frames: list[MotionFrame], tmp_path: Path) -> None:
    classifier = untrained(tmp_path, heads=False)
    admitted = [True, False, False, True, True, False] + 30 * [True]
    every = WindowScorer(classifier, GEOMETRY, window=WINDOW, share=True)
    some = WindowScorer(
        classifier,
        GEOMETRY,
        window=WINDOW,
        share=True,
        admit=lambda start, _: admitted[round(4 * start) % 400],
    )
    expected, found = (
        [s for frame, seconds in timed(frames, 24) for s in scorer.push(frame, seconds)]
        for scorer in (every, some)
    )
    kept = [score for score, admit in zip(expected, admitted, strict=False) if admit]
    assert [s.start for s in found] == [s.start for s in kept]
    for one, other in zip(found, kept, strict=True):
        np.testing.assert_allclose(one.scores["motion"], other.scores["motion"], atol=1e-6)
    later = [(replace(frame, index=frame.index + 96), seconds + 100) for frame, seconds in timed(frames, 24)]
    again = [s for frame, seconds in later for s in every.push(frame, seconds)]
    assert len(again) == len(expected) + 1  # with the end of the first stream
    for one, other in zip(again[1:], expected, strict=True):
        np.testing.assert_allclose(one.scores["motion"], other.scores["motion"], atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "stride"), [((), 0.3), (("motion.crop=actor",), 0.25), (("test.segments=4",), 0.25)]
)
def test_what_can_not_be_shared_is_scored_as_a_clip(
    settings: tuple[str, ...], stride: float, frames: list[MotionFrame], tmp_path: Path
) -> None:
    classifier = untrained(tmp_path, *settings, heads=False)
    both = [
        WindowScorer(classifier, GEOMETRY, window=WINDOW, stride=stride, share=share)
        for share in (True, False)
    ]
    for frame, seconds in timed(frames[:48], 24):
        one, other = (scorer.push(frame, seconds) for scorer in both)
        for shared, alone in zip(one, other, strict=True):
            np.testing.assert_array_equal(shared.scores["motion"], alone.scores["motion"])


def test_a_window_without_moving_pictures_says_so(frames: list[MotionFrame], tmp_path: Path) -> None:
    scorer = WindowScorer(untrained(tmp_path, heads=False), GEOMETRY, window=WINDOW, share=True)
    keyframe = frames[0]
    scores = []
    for i in range(60):
        still = replace(keyframe, index=i)
        scores += scorer.push(still, i / 24)
    assert scores
    assert all(not s.scores and "no picture with motion" in s.problem and s.energy == 0 for s in scores)


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Packets:
    """200 pictures of a camera, 50 a second, without B pictures."""
    path = tmp_path_factory.mktemp("camera") / "clip.mp4"
    return Packets.of(encode(path, panning(200, 96, 64, (2, 1)), rate=50, g="50", bf="0"))


def scores_of(
    model: WindowModel, packets: Packets, *, deferred: bool, share: bool = True
) -> list[WindowScore]:
    scorer = WindowScorer(model, GEOMETRY, window=2.0, share=share)
    frames, _ = read_stream(packets.stream(deferred=deferred), packets.packets)
    scores = [score for frame in frames for score in scorer.push(frame)]
    return scores + scorer.flush()


def facts(score: WindowScore) -> list[object]:
    scores = {stream: values.tobytes() for stream, values in score.scores.items()}
    return [score.start, score.end, score.energy, score.problem, scores]


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("field", ["raw", "compensated", "accumulated"])
def test_pictures_that_no_window_uses_are_not_parsed(
    camera: Packets, share: bool, field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = untrained(tmp_path, f"motion.field={field}", heads=False)
    eager = scores_of(model, camera, deferred=False, share=share)
    read, read_field = [], FieldReader.read

    def counted(reader: FieldReader, frame: MotionFrame) -> Any:
        read.append(frame.index)
        return read_field(reader, frame)

    monkeypatch.setattr(FieldReader, "read", counted)
    deferred = scores_of(model, camera, deferred=True, share=share)
    assert [facts(score) for score in deferred] == [facts(score) for score in eager]
    assert len(set(read)) == len(read)
    assert len(read) == 200 if field == "accumulated" else len(read) <= 60 if share else len(read) <= 160


@pytest.mark.parametrize(("picture", "used"), [(13, True), (20, False)])
def test_a_damaged_picture_is_replaced_when_it_is_found(
    camera: Packets, picture: int, used: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = untrained(tmp_path, heads=False)
    data, seconds = camera.packets[picture]
    packets = list(camera.packets)
    packets[picture] = data[: len(data) // 2] + b"\xff" * (len(data) - len(data) // 2), seconds
    found, read_field = [], FieldReader.read

    def noted(reader: FieldReader, frame: MotionFrame) -> Any:
        try:
            return read_field(reader, frame)
        except MalformedStream:
            found.append(frame.index)
            raise

    whole = scores_of(model, camera, deferred=True)
    monkeypatch.setattr(FieldReader, "read", noted)
    other = scores_of(model, replace(camera, packets=packets), deferred=True)
    assert found == ([picture] if used else [])
    assert [score.problem for score in other] == [score.problem for score in whole] == [""] * len(whole)
    for one, two in zip(whole, other, strict=True):
        np.testing.assert_allclose(one.scores["motion"], two.scores["motion"], atol=0.05)
