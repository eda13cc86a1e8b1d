"""Segments of long files: the pictures between two times of the stream, as of a file that was cut there."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import mv_tools
from moclip_lite.appearance.frames import read_clip_frames
from moclip_lite.appearance.settings import AppearanceSettings
from moclip_lite.datasets import Clip
from moclip_lite.datasets.extraction import content_digests
from moclip_lite.datasets.segments import motion_pictures, rgb_pictures, video_seconds
from moclip_lite.motion.extract import extract_motion
from moclip_lite.motion.read import read_motion_clip
from moclip_lite.motion.settings import FieldKind, MotionSpec
from moclip_lite.sampling import Positions, Segment, pictures_between
from moclip_lite.storage.cache import FeatureCache
from mv_tools import MalformedStream, MotionDecoder, RgbDecoder

from support.annotations import GOP, copy_packets, long_video, segments_of
from support.clips import H264, WITH_B, annex_b, behind_sound, encode_at, panning

LABELS = ["left", "right", "right", "left", "left"]
SPEC = MotionSpec(segments=3, frames=2, grid=(4, 6))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return long_video(tmp_path_factory.mktemp("long") / "long.mp4", LABELS)


@pytest.mark.parametrize("field", get_args(FieldKind))
@pytest.mark.parametrize("backend", ["native", "libav"])
def test_motion_is_that_of_a_file_cut_at_keyframes(
    video: Path, tmp_path: Path, field: str, backend: str
) -> None:
    """Bit for bit, for every kind of field, with one decoder for all segments as with one for each."""
    spec = MotionSpec(**{**SPEC.model_dump(), "field": field, "backend": backend})
    shared = MotionDecoder(video, backend=backend, threads=1, on_damage="skip")
    for number, clip in enumerate(segments_of(video, LABELS)):
        cut = copy_packets(video, tmp_path / f"{number}.mp4", number * GOP, (number + 1) * GOP)
        expected = read_motion_clip(cut, spec)
        for source in (shared, video):
            motion = read_motion_clip(source, spec, clip.segment)
            np.testing.assert_array_equal(motion.motion, expected.motion)
            np.testing.assert_array_equal(motion.indices, expected.indices + number * GOP)
            assert not motion.empty


@pytest.mark.parametrize("positions", get_args(Positions))
def test_frames_are_those_of_a_file_cut_at_keyframes(video: Path, tmp_path: Path, positions: Any) -> None:
    settings = AppearanceSettings(frames=3, positions=positions)
    shared = RgbDecoder(video)
    for number, clip in enumerate(segments_of(video, LABELS)):
        cut = copy_packets(video, tmp_path / f"{number}.mp4", number * GOP, (number + 1) * GOP)
        np.testing.assert_array_equal(
            read_clip_frames(shared, settings, clip.segment), read_clip_frames(cut, settings)
        )


@pytest.mark.parametrize("positions", get_args(Positions))
def test_segments_without_a_keyframe(video: Path, positions: Any) -> None:
    """All pictures of the segment have motion; frames come from inside of it."""
    segment = Segment(14 / 25, 20 / 25)
    assert read_motion_clip(video, SPEC, segment).indices.min() == 14
    frames = read_clip_frames(video, AppearanceSettings(frames=2, positions=positions), segment)
    inside = mv_tools.read_rgb_at(video, range(14, 20)).frames
    assert all(any(np.array_equal(frame, other) for other in inside) for frame in frames)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".h264"])
@pytest.mark.parametrize("options", [H264, WITH_B], ids=["IP", "IPB"])
@pytest.mark.parametrize("start", [0.0, 7.0])
def test_segments_that_touch_divide_the_pictures(
    tmp_path: Path, suffix: str, options: dict[str, str], start: float
) -> None:
    """At a variable rate, behind an edit list, with a first time stamp above 0, and without times: each picture is in
    one of the segments, and where times are known in that which holds its time."""
    times = np.concatenate([np.arange(20) / 25, 0.8 + np.arange(6) / 3])
    path = tmp_path / f"clip{'.mp4' if suffix == '.h264' else suffix}"
    encode_at(path, panning(len(times)), start + times, **options)
    if suffix == ".h264":
        path, times = annex_b(path), np.arange(len(times)) / 25
    motion, rgb = MotionDecoder(path), RgbDecoder(path)
    borders = [0.0, *(round(float(times[i]), 3) for i in (7, 20, 22)), float(rgb.edges()[-1])]
    segments = [Segment(a, b) for a, b in itertools.pairwise(borders)]
    for ranges in ([motion_pictures(motion, s) for s in segments], [rgb_pictures(rgb, s) for s in segments]):
        assert [len(r) for r in ranges] == [7, 13, 2, len(times) - 22]
        assert [i for r in ranges for i in r] == list(range(len(times)))
    note = "the file has no times: the pictures of its segment were counted by the frame rate"
    assert (note in read_motion_clip(path, SPEC, segments[0]).notes) == (suffix == ".h264")


def test_times_within_a_millisecond_are_the_same() -> None:
    begins = np.array([0.0, 1 / 3, 2 / 3, 1.0])
    assert pictures_between(begins, Segment(0.333, 0.667)) == (1, 2)
    assert pictures_between(begins, Segment(0.334, 0.666)) == (1, 2)
    assert pictures_between(begins, Segment(0.34, 0.66)) == (2, 2)


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        (Segment(0.405, 0.431), "no picture of the video appears in the segment 0.405-0.431 s"),
        (Segment(1.0, 9.0), "the segment 1-9 s ends behind the video, at 2.400 s"),
        (Segment(2.5, 3.0), "no picture of the video appears in the segment"),
    ],
)
def test_segments_outside_of_the_video_are_refused(video: Path, segment: Segment, message: str) -> None:
    for read in (
        lambda: read_motion_clip(video, SPEC, segment),
        lambda: read_clip_frames(video, AppearanceSettings(), segment),
    ):
        with pytest.raises(MalformedStream, match=message):
            read()
    read_motion_clip(video, SPEC, Segment(2.0, 3.0))  # sound may go on, and tools round


def test_one_file_is_scanned_once(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Extraction opens a file once for all of its segments; failures name the segment; keys differ."""
    opened = []
    plain = MotionDecoder.__init__

    def count(self: MotionDecoder, source: Any, *rest: Any, **named: Any) -> None:
        opened.append(source)
        plain(self, source, *rest, **named)

    monkeypatch.setattr(MotionDecoder, "__init__", count)
    clips = segments_of(video, LABELS)
    late = Clip(video, "long.mp4@50-60", "left", None, Segment(50, 60))
    cache = FeatureCache(tmp_path)
    report = extract_motion([*clips[::-1], late], SPEC, cache, workers=1)
    assert len(opened) == 1
    assert len(set(report.keys.values())) == len(clips)
    assert [failure.name for failure in report.failures] == ["long.mp4@50-60"]
    assert len(set(content_digests(clips, cache).values())) == len(clips)
    whole = extract_motion([Clip(video, "long.mp4", "left")], SPEC, cache, workers=1)
    assert not set(whole.keys.values()) & set(report.keys.values())
    assert extract_motion(clips, SPEC, cache, workers=1).reused == len(clips)


def test_seconds_of_a_video(video: Path, tmp_path: Path) -> None:
    """From the header where that is enough, else exact; None of a file that can't be read."""
    assert video_seconds(video, 1.0) == pytest.approx(2.4)
    assert video_seconds(annex_b(copy_packets(video, tmp_path / "raw.mp4", 0, 24)), 1.0) == pytest.approx(
        0.96
    )
    (tmp_path / "none.mp4").write_bytes(b"no video")
    assert video_seconds(tmp_path / "none.mp4", 1.0) is None


def test_a_player_s_clock_starts_with_the_sound(video: Path, tmp_path: Path) -> None:
    """Pictures that begin half a second after the sound appear half a second later."""
    path = behind_sound(video, tmp_path / "late.mkv", Fraction(1, 2))
    assert motion_pictures(MotionDecoder(path), Segment(0.5, 0.98)) == range(12)
    assert rgb_pictures(RgbDecoder(path), Segment(0.98, 1.46)) == range(12, 24)
