"""Windows of a file and of a stream: each is scored as `predict` scores such a clip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from moclip_lite import Classifier
from moclip_lite.datasets.synthetic.pictures import render_clip
from moclip_lite.timeline.geometry import FrameGeometry
from moclip_lite.timeline.model import WindowScore
from moclip_lite.timeline.plan import FilePictures, plan_windows, window_times
from moclip_lite.timeline.scorer import WindowScorer
from mv_tools import ArgumentError, MalformedStream, MotionDecoder, MotionFrame, RgbDecoder

from support.clips import H264, encode, encode_at, panning
from support.timeline import MeanColour, untrained

PARTS = (("bricks", "pan_left"), ("foliage", "rotate"), ("water", "shake"))
FRAMES = 20  # of a part, at 25 per second


def _pictures(part: int) -> npt.NDArray[np.uint8]:
    return render_clip(*PARTS[part], FRAMES, (5, part), (96, 80))[0]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three clips of equal length, encoded alike."""
    folder = tmp_path_factory.mktemp("parts")
    return [encode(folder / f"{i}.mp4", _pictures(i), **{**H264, "g": "10"}) for i in range(len(PARTS))]


@pytest.fixture(scope="module")
def joined(parts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three clips one after the other, by stream copy."""
    path = tmp_path_factory.mktemp("joined") / "long.mp4"
    with av.open(str(path), "w") as out:
        stream = None
        for number, part in enumerate(parts):
            with av.open(str(part)) as source:
                video = source.streams.video[0]
                stream = stream or out.add_stream_from_template(video)
                shift = round(number * FRAMES / 25 / video.time_base)
                for packet in source.demux(video):
                    if packet.dts is not None:
                        packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                        out.mux(packet)
    return path


def _close(found: WindowScore, classifier: Classifier, clip: Path, exact: bool = False) -> None:
    """The window's probabilities are those that `explain` gives for the clip."""
    expected = classifier.explain(clip, top_k=9).streams
    assert set(found.scores) == set(expected)
    for stream, ranking in expected.items():
        wanted = np.array([dict(ranking)[label] for label in classifier.labels], np.float32)
        np.testing.assert_allclose(found.scores[stream], wanted, rtol=0, atol=0 if exact else 1e-5)


def _scores(classifier: Classifier, path: Path, window: float, stride: float) -> list[WindowScore]:
    """Scores of a file's windows, by the planner of files."""
    from contextlib import ExitStack

    from moclip_lite.timeline.options import silent
    from moclip_lite.timeline.video import score_windows
    from moclip_lite.timeline.video_file import OpenFile

    with ExitStack() as opened:
        file = OpenFile.open(classifier, path, opened)
        return list(score_windows(classifier, file, window, stride, silent))


@pytest.mark.parametrize("positions", ["reachable", "uniform", "keyframes"])
@pytest.mark.parametrize(
    "settings",
    [(), ("motion.field=compensated",), ("motion.crop=actor",), ("motion.field=accumulated",)],
    ids=["raw", "compensated", "actor", "accumulated"],
)
def test_one_window_is_the_prediction_of_the_clip(
    settings: tuple[str, ...], positions: str, parts: list[Path], tmp_path: Path
) -> None:
    classifier = untrained(tmp_path, f"clip.positions={positions}", *settings)
    for length in (0.8, 0.81, 5.0):
        (score,) = _scores(classifier, parts[1], length, length / 4)
        assert (score.start, score.end) == pytest.approx((0, 0.8))
        _close(score, classifier, parts[1], exact=True)


@pytest.mark.parametrize("positions", ["reachable", "uniform", "keyframes"])
def test_windows_on_clips_that_were_joined_are_their_predictions(
    positions: str, parts: list[Path], joined: Path, tmp_path: Path
) -> None:
    classifier = untrained(tmp_path, f"clip.positions={positions}")
    scores = _scores(classifier, joined, 0.8, 0.2)
    assert [round(score.start, 3) for score in scores] == [round(0.2 * i, 3) for i in range(9)]
    for part, path in enumerate(parts):
        _close(scores[4 * part], classifier, path)


def test_pictures_are_counted_when_the_file_is_scanned(parts: list[Path]) -> None:
    """The tables of a damaged MP4 file announce more pictures than a scan finds."""

    class Announcing(MotionDecoder):
        scanned = False

        def __len__(self) -> int:
            return super().__len__() + (not self.scanned)

        def keyframe_indices(self) -> list[int]:
            self.scanned = True
            return super().keyframe_indices()

    pictures = FilePictures.of(RgbDecoder(parts[0]), Announcing(parts[0]), shown=False)
    assert pictures.moving is not None
    assert pictures.moving[-1] == FRAMES - 1


def test_frames_of_windows_are_keyframes_where_others_are_slow(tmp_path: Path) -> None:
    """With long groups of pictures; a window without a keyframe shows one frame, a video of one window those of a clip."""
    pictures = np.concatenate([_pictures(part) for part in range(3)])
    path = encode(tmp_path / "long.mp4", pictures, **{**H264, "g": "30", "sc_threshold": "0"})
    pictures_of = FilePictures.of(RgbDecoder(path), MotionDecoder(path), shown=True)
    experiment = untrained(tmp_path, "clip.frames=2").experiment
    taken = {}
    for snap in (True, False):
        windows = plan_windows(pictures_of, 0.8, 0.2, experiment.motion, experiment.clip, snap=snap)
        taken[snap] = [window.pictures for window in windows]
    assert taken[True][0] == (0, 0)
    assert {number for numbers in taken[True] for number in numbers} <= {0, 30, *(5 * i for i in range(12))}
    for k, numbers in enumerate(taken[True]):
        inside = [key for key in (0, 30) if 5 * k <= key < 5 * k + 20]
        assert set(numbers) == set(inside) if inside else len(set(numbers)) == 1
    assert len(set(taken[False][0])) == 2
    whole = [
        plan_windows(pictures_of, 9.0, 1.0, experiment.motion, experiment.clip, snap=s) for s in (True, False)
    ]
    assert whole[0][0].pictures == whole[1][0].pictures
    classifier = untrained(tmp_path)
    timelines = [classifier.timeline(path, window=0.8, frames=name) for name in ("keyframes", "clip")]
    assert timelines[0].windows != timelines[1].windows
    with pytest.raises(ArgumentError, match="frames must be one of"):
        classifier.timeline(path, window=0.8, frames="all")  # type: ignore[arg-type]


@pytest.mark.parametrize("snap", [True, False])
@pytest.mark.parametrize("positions", ["reachable", "uniform", "keyframes"])
def test_a_picture_that_stays_is_seen_by_windows_in_which_none_begins(
    positions: str, snap: bool, tmp_path: Path
) -> None:
    times = [*(i / 25 for i in range(25)), *(5 + i / 25 for i in range(25))]
    path = encode_at(tmp_path / "held.mkv", panning(50), times)
    pictures = FilePictures.of(RgbDecoder(path), MotionDecoder(path), shown=True)
    experiment = untrained(tmp_path, "clip.frames=2", f"clip.positions={positions}").experiment
    windows = plan_windows(pictures, 1.0, 0.5, experiment.motion, experiment.clip, snap=snap)
    held = [window for window in windows if window.start >= 1.0 and window.end <= 5.0]
    assert len(held) > 5
    shown = set(range(25)) if positions == "keyframes" else {24}
    assert all(window.pictures and set(window.pictures) <= shown for window in held)


@pytest.mark.parametrize("kind", ["motion", "appearance"])
def test_classifiers_of_one_stream(kind: str, parts: list[Path], tmp_path: Path) -> None:
    classifier = untrained(tmp_path, motion=kind == "motion", heads=kind == "appearance")
    classifier.engine.heads = {s: h for s, h in classifier.heads.items() if str(s) == kind}
    (score,) = _scores(classifier, parts[0], 1.0, 0.25)
    _close(score, classifier, parts[0], exact=True)
    assert np.isnan(score.energy) == (kind == "appearance")


def test_each_frame_is_encoded_once(joined: Path, tmp_path: Path) -> None:
    classifier = untrained(tmp_path, "clip.positions=uniform")
    scores = _scores(classifier, joined, 0.8, 0.4)  # midpoints of halves: shared by two windows
    assert len(scores) == 5
    assert classifier.encoder.pictures == 6


def _stream(path: Path) -> Iterator[tuple[MotionFrame, npt.NDArray[np.uint8] | None]]:
    """A file's motion, with the pictures of its keyframes."""
    decoder = MotionDecoder(path)
    keyframes = decoder.keyframe_indices()
    pictures = dict(RgbDecoder(decoder).iter_frames_at(keyframes))
    for frame in decoder:
        yield frame, pictures.get(frame.index)


def _pushed(scorer: WindowScorer, path: Path, shift: float = 0.0) -> list[WindowScore]:
    scores = []
    for frame, picture in _stream(path):
        assert frame.pts_seconds is not None
        if picture is not None:
            scorer.add_picture(frame.pts_seconds + shift, picture)
        scores += scorer.push(frame, frame.pts_seconds + shift)
    return scores


def test_a_stream_gives_the_scores_of_the_file(joined: Path, tmp_path: Path) -> None:
    classifier = untrained(tmp_path, "clip.positions=keyframes")
    scorer = WindowScorer(classifier, FrameGeometry(96, 80), window=0.8, stride=0.2)
    streamed = _pushed(scorer, joined)
    assert len(streamed) == 8  # the last window ends with the video: it is known at the end only
    streamed += scorer.flush()
    for one, other in zip(streamed, _scores(classifier, joined, 0.8, 0.2), strict=True):
        assert (one.start, one.end) == pytest.approx((other.start, other.end), abs=1e-6)
        assert one.energy == pytest.approx(other.energy)
        for stream in other.scores:
            np.testing.assert_allclose(one.scores[stream], other.scores[stream], atol=1e-5)


def test_memory_of_a_stream_is_bounded(joined: Path, tmp_path: Path) -> None:
    classifier = untrained(tmp_path)
    scorer = WindowScorer(classifier, FrameGeometry(96, 80), window=0.8, stride=0.2)
    sizes = []
    frames = list(_stream(joined))
    count = 0
    for repeat in range(6):
        for frame, picture in frames:
            seconds = repeat * 2.4 + frame.index / 25
            moved = replace(frame, index=repeat * len(frames) + frame.index)
            scorer.add_picture(seconds, np.zeros((80, 96, 3), np.uint8) if picture is None else picture)
            count += len(scorer.push(moved, seconds))
        sizes.append((len(scorer._buffers.motion), len(scorer._buffers.pictures)))
    assert count == 6 * 12 - 4
    assert max(motion for motion, _ in sizes[1:]) <= 1.0 * 25 + 6
    assert max(pictures for _, pictures in sizes[1:]) <= 2 * 2 * 1.25 + 2


def test_time_that_jumps_begins_anew(parts: list[Path], tmp_path: Path) -> None:
    classifier = untrained(tmp_path)
    for shift in (-100.0, 100.0):
        scorer = WindowScorer(classifier, FrameGeometry(96, 80), window=0.4)
        scores = _pushed(scorer, parts[0])
        scores += _pushed(scorer, parts[0], shift) + scorer.flush()
        starts = [round(score.start, 3) for score in scores]
        assert starts == [0.0, 0.1, 0.2, 0.3, 0.4, *(round(shift + 0.1 * i, 3) for i in range(5))]


def test_time_that_stands_still_is_refused(
    parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moclip_lite.timeline.scorer._MAX_PICTURES", 100)
    classifier = untrained(tmp_path, heads=False)
    scorer = WindowScorer(classifier, FrameGeometry(96, 80), window=1.0)
    frame = next(iter(MotionDecoder(parts[0])))
    for _ in range(100):
        scorer.push(frame, 1.0)
    with pytest.raises(MalformedStream, match="times do not increase"):
        scorer.push(frame, 1.0)


def test_a_single_picture_makes_no_window(parts: list[Path], tmp_path: Path) -> None:
    scorer = WindowScorer(untrained(tmp_path, heads=False), FrameGeometry(96, 80), window=1.0)
    assert [*scorer.push(next(iter(MotionDecoder(parts[0]))), 1.0), *scorer.flush()] == []


@pytest.mark.parametrize(("window", "stride"), [(0, None), (-1, None), (float("nan"), None), (1, 2), (1, 0)])
def test_windows_that_make_no_sense_are_refused(window: float, stride: float | None, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="above 0"):
        WindowScorer(untrained(tmp_path), FrameGeometry(96, 80), window=window, stride=stride)


def test_pictures_without_time_are_refused(parts: list[Path], tmp_path: Path) -> None:
    scorer = WindowScorer(untrained(tmp_path), FrameGeometry(96, 80), window=1.0)
    frame = next(iter(MotionDecoder(parts[0])))
    with pytest.raises(ArgumentError, match="has no time"):
        scorer.push(replace(frame, pts_seconds=None))


def test_mean_colour_is_what_the_encoder_gives() -> None:
    assert MeanColour().encode_images(np.full((2, 4, 4, 3), 51, np.uint8)) == pytest.approx(0.2)


@pytest.mark.parametrize("duration", [1e6, 1e15, 1e300])
@pytest.mark.parametrize("pictures", [1, 24, 2000])
def test_more_windows_than_pictures_could_fill_are_refused(duration: float, pictures: int) -> None:
    """A file of some kilobytes can claim to last for years."""
    edges = np.linspace(0, duration, pictures + 1)
    with pytest.raises(MalformedStream, match=f"windows for {pictures} pictures?: if the times"):
        window_times(edges, 1.0, 0.25)
    with pytest.raises(MalformedStream, match="windows for"):
        window_times(edges, 1.0, 5e-324)


def test_videos_with_few_pictures_have_windows() -> None:
    one_picture = np.array([0.0, 2400.0])
    assert len(window_times(one_picture, 1.0, 0.25)) == 9597
    a_picture_a_second = np.arange(86_401.0)
    assert len(window_times(a_picture_a_second, 1.0, 0.25)) == 345_597
