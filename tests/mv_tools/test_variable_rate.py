"""Variable frame rate: windows, durations and films follow the times of the pictures."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

import mv_tools
from moclip_lite.progress import Silent
from moclip_lite.retrieval.index import WindowSpec, build_index
from moclip_lite.retrieval.windows import cut_windows, video_windows
from moclip_lite.storage.cache import FeatureCache
from mv_tools import MotionDecoder, RgbDecoder, visualize

from support.cli import assert_ok, moclip
from support.clips import H264, WITH_B, annex_b, encode_at, panning

FAST, SLOW = 40, 12
TIMES = np.concatenate([np.arange(FAST) / 25, FAST / 25 + np.arange(SLOW)])
"""1.6 s at 25 pictures a second, then one a second for 12 s."""


def write(path: Path, codec: str = "libx264", start: float = 0.0, **options: str) -> Path:
    return encode_at(path, panning(len(TIMES)), start + TIMES, codec, **options)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts"])
@pytest.mark.parametrize("options", [H264, WITH_B], ids=["IP", "IPB"])
@pytest.mark.parametrize("start", [0.0, 7.0])
def test_times_are_those_of_the_stream(
    tmp_path: Path, suffix: str, options: dict[str, str], start: float
) -> None:
    path = write(tmp_path / f"clip{suffix}", start=start, **options)
    with av.open(str(path)) as container:
        last = max((p.pts, p.duration or 0) for p in container.demux(video=0) if p.size)[1]
        last_seconds = float(last * container.streams.video[0].time_base)
    end = TIMES[-1] + (last_seconds or 0.04)
    for decoder in (MotionDecoder(path), MotionDecoder(path, backend="libav"), RgbDecoder(path)):
        times = decoder.times
        assert times is not None
        np.testing.assert_allclose(times - times[0], TIMES, atol=1e-3)
    for frame, time in zip(MotionDecoder(path), TIMES, strict=True):
        assert frame.pts_seconds - times[0] == pytest.approx(time, abs=1e-3)
    edges = RgbDecoder(path).edges()
    np.testing.assert_allclose(edges, [*TIMES, end], atol=2e-3)
    assert MotionDecoder(path).metadata.duration_seconds == pytest.approx(end, abs=2e-3)
    assert mv_tools.probe(path).metadata.duration_seconds == pytest.approx(end, abs=2e-3)
    windows = video_windows(path, 3.0)
    check_windows(windows, edges, 3.0)


def check_windows(windows: list[Any], edges: npt.NDArray[np.float64], longest: float) -> None:
    """Windows hold each frame once with its times, and none is longer than the limit."""
    assert (windows[0].start, windows[-1].stop) == (0, len(edges) - 1)
    for before, after in itertools.pairwise(windows):
        assert before.stop == after.start
    for window in windows:
        assert window.start < window.stop
        assert window.start_seconds == edges[window.start]
        assert window.stop_seconds == edges[window.stop]
        assert window.stop_seconds - window.start_seconds <= longest + 1e-3 or window.stop == window.start + 1


@pytest.mark.parametrize("longest", [0.01, 0.5, 1.0, 2.5, 10.0, 1e9])
def test_windows_of_arbitrary_times(longest: float) -> None:
    rng = np.random.default_rng(3)
    for steps in (
        rng.exponential(0.2, 80),
        np.full(100, 0.04),
        np.array([5.0]),
        rng.choice([0.01, 30.0], 40),
    ):
        edges = np.concatenate([[0], np.cumsum(steps)])
        cuts = sorted(rng.choice(len(edges) - 1, min(3, len(edges) - 1), replace=False).tolist())
        check_windows(cut_windows(edges, [cut for cut in cuts if cut], longest), edges, longest)
        check_windows(cut_windows(edges, [], longest), edges, longest)


def test_equal_times_make_no_empty_window() -> None:
    edges = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 2.0])
    check_windows(cut_windows(edges, [], 0.5), edges, 0.5)
    still = np.zeros(5)
    check_windows(cut_windows(still, [], 1.0), still, 1.0)


def test_shot_boundary_near_the_end() -> None:
    """The last 12 frames take 12 of 13.6 seconds: a cut there is not "less than a second before the end"."""
    edges = np.append(TIMES, 13.6)
    assert [w.start for w in cut_windows(edges, [FAST], 20.0)] == [0, FAST]
    assert [w.start for w in cut_windows(edges, [FAST // 2], 20.0)] == [0], "0.8 s are too short a shot"


def test_without_times_the_frame_rate_applies(tmp_path: Path) -> None:
    path = annex_b(write(tmp_path / "clip.mp4", **H264))
    assert RgbDecoder(path).times is None
    np.testing.assert_allclose(RgbDecoder(path).edges(), np.arange(len(TIMES) + 1) / 25)
    assert video_windows(path, 1.0)[-1].stop_seconds == pytest.approx(len(TIMES) / 25)


class _Encoder:
    """Knows no model: the vector of a window is its first and last frame."""

    spec, digest = "none", "0"

    def describe(self) -> str:
        return "none"

    def read(self, path: Path, start: int, stop: int) -> npt.NDArray[np.float32]:
        return np.array([start, stop], np.float32)

    def encode_clips(self, clips: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return clips / np.linalg.norm(clips, axis=1, keepdims=True)


def test_index_ends_where_the_stream_ends(tmp_path: Path, shared: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "vfr.mkv").write_bytes((shared / "videos" / "faults" / "vfr.mkv").read_bytes())
    index = build_index(
        folder, _Encoder(), WindowSpec(longest=5.0), FeatureCache(tmp_path / "cache"), Silent()
    )  # type: ignore[arg-type]
    assert index.seconds[0, 0] == 0
    assert index.seconds[-1, 1] == pytest.approx(37.04, abs=0.01)
    np.testing.assert_array_equal(index.seconds[1:, 0], index.seconds[:-1, 1])
    assert (np.diff(index.seconds, axis=1) <= 5.001).all()
    document = assert_ok(moclip("mv", "probe", folder / "vfr.mkv", "--json")).json
    assert document["duration_seconds"] == pytest.approx(37.04, abs=0.01)
    assert document["num_frames"] == 270


@pytest.mark.parametrize(
    ("start", "pictures"),
    [
        (0.0, range(38, 44)),
        (7.0, range(38, 44)),
        pytest.param(7.0, range(len(TIMES)), marks=pytest.mark.slow),
    ],
)
def test_films_of_motion_keep_the_times(tmp_path: Path, start: float, pictures: range) -> None:
    path = write(tmp_path / "clip.mkv", start=start, **WITH_B)
    whole = len(pictures) == len(TIMES)
    film = visualize.save_mp4(path, tmp_path / "film.mp4", *(() if whole else (pictures,)))
    times = TIMES[pictures.start : pictures.stop]
    np.testing.assert_allclose(RgbDecoder(film).edges()[:-1], times - times[0], atol=2e-3)


def test_prepared_copies_keep_the_times(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mkv", **WITH_B)
    copy = mv_tools.transcode(path, tmp_path / "copy.mp4")
    np.testing.assert_allclose(RgbDecoder(copy).edges()[:-1], TIMES, atol=2e-3)


def test_average_rate_is_measured_where_the_container_is_wrong(tmp_path: Path) -> None:
    decoder = MotionDecoder(write(tmp_path / "clip.mkv", **H264))
    meta = decoder.metadata
    assert meta.average_fps is not None
    assert meta.average_fps * meta.duration_seconds == pytest.approx(len(TIMES))


def test_duration_of_a_frame_in_two_packets(shared: Path) -> None:
    decoder = MotionDecoder(shared / "videos" / "faults" / "paff_ts_two_packets_per_frame.ts")
    assert decoder.metadata.duration_seconds == pytest.approx(12 / 25)
    assert decoder.metadata.average_fps == pytest.approx(25)
