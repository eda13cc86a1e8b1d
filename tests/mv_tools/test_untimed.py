"""Pictures without a time stamp: their times follow from durations and neighbours, and a note tells of them."""

from __future__ import annotations

import json
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from moclip_lite.motion.read import read_motion_clip
from moclip_lite.motion.settings import MotionSpec
from moclip_lite.sampling import Segment
from mv_tools import MotionDecoder, RgbDecoder, transcode
from mv_tools.pictures.packets import NO_PTS, PacketIndex, StreamProperties
from mv_tools.pictures.times import picture_times, untimed

from support.cli import assert_ok, moclip
from support.clips import WITH_B, encode_at, panning

TIMES = np.concatenate([np.arange(20) / 25, 0.8 + np.arange(10) / 10])
"""Pictures at 25 a second, then at 10."""


def packets_of(times: np.ndarray, missing: slice | list[int], *, durations: bool) -> PacketIndex:
    count, pts = len(times), np.round(times * 1000).astype(np.int64)
    lengths = np.append(np.diff(pts), 100) if durations else np.zeros(count, np.int64)
    pts[missing] = NO_PTS
    stream = StreamProperties(
        codec="h264", profile=None, width=1, height=1, rate=Fraction(25), seconds=None, reorder_depth=0, probed=True
    )  # fmt: skip
    return PacketIndex(
        stream=stream, pts=pts, dts=pts, duration=lengths, keyframe=np.ones(count, bool),
        displayed=np.ones(count, bool), corrupt=np.zeros(count, bool), size=np.ones(count, np.int64),
        position=np.full(count, -1), time_base=0.001, exact_seeks=False,
    )  # fmt: skip


MISSING: list[slice | list[int]] = [
    slice(0, 15),
    slice(0, 25),
    slice(25, 30),
    slice(18, 23),
    [0, 3, 4, 29],
    slice(1, 30),
]


@pytest.mark.parametrize("missing", MISSING, ids=str)
def test_durations_give_the_times(missing: slice | list[int]) -> None:
    packets, numbers = packets_of(TIMES, missing, durations=True), np.arange(len(TIMES))
    seconds, duration = picture_times(numbers, packets)
    assert seconds is not None
    np.testing.assert_allclose(seconds, TIMES, atol=0.002)
    assert duration == pytest.approx(TIMES[-1] + 0.1, abs=0.002)
    assert untimed(numbers, packets).tolist() == np.isin(numbers, numbers[missing]).tolist()


@pytest.mark.parametrize("missing", [slice(0, 5), slice(25, 30), [0, 3, 4, 29]], ids=str)
def test_else_neighbours_do(missing: slice | list[int]) -> None:
    """Not the median step of the file, which is that of another part of it."""
    for times in (TIMES, TIMES[-1] - TIMES[::-1]):
        seconds, _ = picture_times(np.arange(len(times)), packets_of(times, missing, durations=False))
        assert seconds is not None
        np.testing.assert_allclose(seconds, times, atol=0.002)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A clip of variable rate, and its copy, whose first pictures have lost their times."""
    folder = tmp_path_factory.mktemp("untimed")
    whole, part = folder / "whole.mp4", folder / "part.mkv"
    encode_at(whole, panning(len(TIMES)), TIMES, **WITH_B)
    shift = ["-c", "copy", "-output_ts_offset", "-0.5", "-avoid_negative_ts", "0"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(whole), *shift, str(part)]
    subprocess.run(command, check=True)
    return whole, part


def test_a_note_tells_of_every_guessed_time(videos: tuple[Path, Path]) -> None:
    whole, part = videos
    with av.open(str(part)) as container:
        lost = sum(packet.pts is None for packet in container.demux(video=0) if packet.size)
    assert 0 < lost < len(TIMES)
    note = f"{lost} of {len(TIMES)} pictures have no time stamp (0 to {lost - 1}); their times are guessed"
    motion, rgb = MotionDecoder(part), RgbDecoder(part)
    spec = MotionSpec(segments=3, frames=2, grid=(4, 6))
    for notes in (
        motion.notes,
        rgb.notes,
        read_motion_clip(part, spec).notes,
        read_motion_clip(part, spec, Segment(0.2, 0.7)).notes,
    ):
        assert [text for text in notes if text.startswith(note)]
    assert not MotionDecoder(whole).notes
    summary = json.loads(assert_ok(moclip("mv", "probe", part, "--json")).out)
    assert any(text.startswith(note) for text in summary["notes"])
    np.testing.assert_allclose(rgb.edges()[:-1], RgbDecoder(whole).edges()[:-1], atol=0.011)


def test_a_copy_tells_what_becomes_of_the_times(
    videos: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, part = videos
    copy = transcode(part, tmp_path / "copy.mp4")
    assert "pictures have no time stamp (0 to " in caplog.text
    own, even = RgbDecoder(part).edges(), RgbDecoder(copy).edges()
    shift = np.abs(own - even)[:-1].max()
    assert shift > 0.1
    assert f"evenly spaced, up to {shift:.1f} s from their own times" in caplog.text
    caplog.clear()
    transcode(whole, tmp_path / "other.mp4")
    assert not caplog.text
