"""Which frames of a clip are seen: peaks of motion, pooling, black borders; prediction sees those of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from moclip_lite.appearance.borders import crop_borders
from moclip_lite.appearance.frames import file_energy, read_frames
from moclip_lite.appearance.motion_energy import MotionEnergy, motion_positions
from moclip_lite.appearance.pooling import TIME_DIMS, FrameFacts, Pooling, pool_frames
from moclip_lite.appearance.settings import AppearanceSettings
from moclip_lite.motion.settings import MotionSpec
from moclip_lite.predict.read_file import FileReader
from mv_tools import MotionDecoder

from support.clips import H264, WITH_B, encode, panning

SPEC = MotionSpec(segments=8, frames=3, grid=(6, 8))
RNG = np.random.default_rng(0)


def bump(total: int, *centres: int) -> MotionEnergy:
    pictures = np.arange(total)
    energy = np.sum([np.exp(-((pictures - centre) ** 2) / 8) for centre in centres], axis=0)
    return MotionEnergy(pictures, energy.astype(np.float32), None)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8, 16])
@pytest.mark.parametrize("total", [1, 2, 5, 16, 60, 200])
def test_positions_are_ascending_apart_and_as_many_as_asked_for(total: int, count: int) -> None:
    usable = np.sort(RNG.choice(3 * total, total, replace=False))
    energy = MotionEnergy(np.arange(3 * total), RNG.random(3 * total, np.float32), None)
    positions = motion_positions(usable, energy, count)
    assert len(positions) == count
    assert set(positions) <= set(usable)
    assert (np.diff(positions) >= (1 if total > count else 0)).all()


@pytest.mark.parametrize("centre", [5, 40, 90])
def test_one_frame_is_at_the_peak_and_two_at_both(centre: int) -> None:
    (position,) = motion_positions(np.arange(100), bump(100, centre), 1)
    assert abs(position - centre) <= 1
    two = motion_positions(np.arange(100), bump(100, centre, (centre + 50) % 100), 2)
    assert np.allclose(sorted([centre, (centre + 50) % 100]), two, atol=1)


def test_a_pan_of_the_camera_is_no_action() -> None:
    motion = np.zeros((2, 3, 2, 6, 8), np.float16)
    motion[0, :, 0] = 5  # everything moves alike
    motion[1, 1, :, 2, 3] = 4
    indices = np.array([[1, 2, 3], [4, 5, 6]])
    energy = MotionEnergy.of(motion, indices, whole=True)
    assert energy is not None
    assert energy.pictures[energy.energy.argmax()] == 5
    assert energy.energy[:3].max() == 0
    assert energy.peak is not None
    assert energy.peak.shape == (6, 8)
    assert MotionEnergy.of(np.zeros_like(motion), indices, whole=True) is None
    cropped = MotionEnergy.of(motion, indices, whole=False)
    assert cropped is not None
    assert cropped.peak is None


def acting(frames: int, start: int, stop: int) -> np.ndarray[Any, Any]:
    """A still scene in which a square moves between two pictures only: uint8 [frames, 96, 128, 3]."""
    scene = np.repeat(panning(1, 128, 96), frames, axis=0).copy()
    for i in range(frames):
        place = 20 + 3 * (min(max(i, start), stop) - start)
        scene[i, 30:60, place : place + 24] = 255 - scene[i, 30:60, place : place + 24]
    return scene


def clip_of(tmp_path: Path, frames: int, start: int, stop: int, **options: Any) -> Path:
    return encode(tmp_path / "act.mp4", acting(frames, start, stop), **(options or H264))


@pytest.mark.parametrize("options", [H264, WITH_B])
def test_frames_are_taken_where_something_moves(options: dict[str, Any], tmp_path: Path) -> None:
    path = clip_of(tmp_path, 60, 35, 45, **options)
    settings = AppearanceSettings(frames=2, positions="motion")
    energy = file_energy(MotionDecoder(path), SPEC)
    chosen = read_frames(path, settings, energy=energy)
    assert 33 / 60 < chosen.facts.times.max() < 47 / 60
    assert chosen.notes == ()
    assert chosen.facts.weights.sum() == pytest.approx(1)
    best = chosen.facts.times[chosen.facts.weights.argmax()]
    assert 33 / 60 < best < 47 / 60


@pytest.mark.parametrize("positions", ["motion", "reachable"])
@pytest.mark.parametrize("pooling", ["head", "motion"])
@pytest.mark.parametrize("stream", ["with motion network", "without"])
def test_prediction_sees_the_frames_of_training(
    positions: str, pooling: str, stream: str, tmp_path: Path
) -> None:
    path = clip_of(tmp_path, 30, 10, 20)
    settings = AppearanceSettings.model_validate({"frames": 3, "positions": positions, "pooling": pooling})
    energy = file_energy(MotionDecoder(path), SPEC) if settings.needs_motion else None
    trained = read_frames(path, settings, energy=energy)
    reading = FileReader(path, SPEC if stream == "with motion network" else None, settings, spec=SPEC).both()
    assert (reading.motion is not None) == (stream == "with motion network")
    np.testing.assert_array_equal(reading.pictures, trained.pictures)
    assert reading.facts is not None
    np.testing.assert_array_equal(reading.facts.times, trained.facts.times)
    np.testing.assert_array_equal(reading.facts.weights, trained.facts.weights)


@pytest.mark.parametrize("kind", ["still", "intra", "no vectors"])
def test_clips_without_motion_fall_back_and_tell(kind: str, tmp_path: Path) -> None:
    if kind == "still":
        path = clip_of(tmp_path, 12, 0, 0)
    elif kind == "intra":
        path = encode(tmp_path / "a.mp4", panning(12), **{**H264, "g": "1"})
    else:
        path = encode(tmp_path / "a.webm", panning(12), "libvpx-vp9", deadline="realtime")
    settings = AppearanceSettings(frames=3, positions="motion")
    reading = FileReader(path, None, settings, spec=SPEC).both()
    plain = read_frames(path, AppearanceSettings(frames=3, positions="reachable"))
    np.testing.assert_array_equal(reading.pictures, plain.pictures)
    assert any("no motion to choose frames by" in note for note in reading.notes)


POOLED = {"head": (5, 7), "timed": (5, 7 + TIME_DIMS), "mean_max": (1, 14), "mean_std": (1, 14)}


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_pooling(pooling: Pooling) -> None:
    rows = RNG.random((5, 7), np.float32)
    facts = FrameFacts(np.linspace(0, 1, 5, dtype=np.float32), np.float32([0, 0, 1, 0, 0]))
    pooled = pool_frames(rows, pooling, facts)
    assert pooled.dtype == np.float32
    assert pooled.shape == POOLED.get(pooling, (1, 7))
    expected = {
        "head": rows,
        "mean": rows.mean(0)[None],
        "max": rows.max(0)[None],
        "mean_max": np.concatenate([rows.mean(0), rows.max(0)])[None],
        "mean_std": np.concatenate([rows.mean(0), rows.std(0)])[None],
        "motion": rows[2:3],
        "timed": rows,
    }[pooling]
    np.testing.assert_allclose(pooled[:, : expected.shape[1]], expected, atol=1e-6)
    one = pool_frames(rows[:1], pooling, facts)  # a video model gives one row for all frames
    assert one.shape[1] == pooled.shape[1]
    if pooling == "timed":
        assert not np.allclose(pooled[0, 7:], pooled[4, 7:])


def bordered(top: int = 0, left: int = 0, noise: int = 0) -> np.ndarray[Any, Any]:
    pictures = RNG.integers(60, 255, (3, 96, 128, 3)).astype(np.uint8)
    black = RNG.integers(0, noise + 1, pictures.shape).astype(np.uint8)
    inside = np.zeros((96, 128), bool)
    inside[top : 96 - top, left : 128 - left] = True
    return np.where(inside[None, :, :, None], pictures, black)


STILL = np.zeros((24, 32), np.float32)


@pytest.mark.parametrize("noise", [0, 20])
@pytest.mark.parametrize(("top", "left"), [(12, 0), (0, 16), (10, 20), (0, 0)])
def test_borders_are_cut_off(top: int, left: int, noise: int) -> None:
    cut, changed = crop_borders(bordered(top, left, noise), STILL)
    assert cut.shape == (3, 96 - 2 * top, 128 - 2 * left, 3)
    assert changed == bool(top or left)


def test_what_moves_or_shows_or_is_narrow_stays() -> None:
    pictures = bordered(12)
    moving = STILL.copy()
    moving[1, 5] = 0.2  # in the border: a caption that slides in, say
    assert crop_borders(pictures, moving)[0].shape[1] == 96 - 4 - 12
    lit = pictures.copy()
    lit[1, 6, 40] = 90  # in one picture
    assert crop_borders(lit, STILL)[0].shape[1] == 96 - 6 - 12
    assert not crop_borders(bordered(2), STILL)[1]
    assert not crop_borders(np.zeros_like(pictures), STILL)[1]
    assert not crop_borders(bordered(44), STILL)[1]
    assert not crop_borders(pictures, None)[1]


def test_borders_of_a_file_are_cut_off_in_all_frames_alike(tmp_path: Path) -> None:
    film = acting(16, 4, 12)
    film[:, :18] = 0
    film[:, -18:] = 0
    path = encode(tmp_path / "letterbox.mp4", film, **H264)
    settings = AppearanceSettings(frames=2, crop_borders=True)
    reading = FileReader(path, SPEC.model_copy(update={"grid": (24, 32)}), settings, spec=SPEC).both()
    assert reading.pictures is not None
    assert 56 <= reading.pictures.shape[1] <= 64
    assert reading.pictures.shape[2] == 128
