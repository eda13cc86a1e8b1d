"""The box that follows the motion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from moclip_lite.motion.crop_actor import cut, track
from moclip_lite.motion.read import read_motion_clip
from moclip_lite.motion.settings import MotionSpec

from support.clips import H264, encode


def walker(frames: int = 40, speed: float = 1.0, seed: int = 0) -> tuple[npt.NDArray[np.float32], np.ndarray]:
    """Fields [N, 2, 36, 60] of a body of 12x6 cells that crosses, with noise; and its centres."""
    rng = np.random.default_rng(seed)
    fields = rng.normal(0, 0.05, (frames, 2, 36, 60)).astype(np.float32)
    centres = np.stack([np.full(frames, 20.0), 8 + speed * np.arange(frames)], axis=1)
    for field, (row, column) in zip(fields, np.round(centres).astype(int), strict=True):
        field[0, row - 6 : row + 6, column - 3 : column + 3] = 3.0
    return fields, centres


def test_the_box_follows_and_the_noise_does_not_pull() -> None:
    fields, centres = walker()
    fields[7, :, 2, 50] = 30.0  # one wrong vector
    tracked = track(fields, np.arange(40))
    assert np.abs(tracked - centres).max() < 1.0
    box = cut(fields, tracked, (16, 12))
    assert box.shape == (40, 2, 16, 12)
    assert ((box[:, 0] > 2).sum(axis=(1, 2)) >= 66).all()  # of 72 cells of the body
    assert np.median(box[:, 0][box[:, 0] > 2]) == pytest.approx(3.0)  # it keeps its travel


def test_pictures_left_out_do_not_matter() -> None:
    fields, centres = walker()
    seen = np.array([i for i in range(40) if i % 12 and not 20 < i < 30])
    np.testing.assert_allclose(track(fields[seen], seen), centres[seen], atol=1.0)


def test_the_middle_where_nothing_moves() -> None:
    still = np.zeros((3, 2, 10, 20), np.float32)
    np.testing.assert_array_equal(track(still, np.arange(3)), np.tile([5.0, 10.0], (3, 1)))
    fields, _ = walker(80, speed=0)
    fields[:40] = 0  # long before it moves: where it will be on the whole
    np.testing.assert_allclose(track(fields, np.arange(80))[0], (20, 8), atol=1.0)


@pytest.mark.parametrize("centre", [(-50.0, 5.0), (0.0, 0.0), (5.0, 9.9), (99.0, 99.0)])
def test_beyond_the_picture_nothing_moves(centre: tuple[float, float]) -> None:
    fields = np.ones((1, 2, 10, 10), np.float32)
    box = cut(fields, np.array([centre], np.float32), (6, 4))[0, 0]
    rows = (np.arange(6) + round(centre[0] - 3))[:, None]
    columns = np.arange(4) + round(centre[1] - 2)
    inside = (rows >= 0) & (rows < 10) & (columns >= 0) & (columns < 10)
    np.testing.assert_array_equal(box, inside.astype(np.float32))


def test_a_square_that_crosses_is_kept_in_the_middle(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    ground = np.kron(rng.integers(60, 180, (15, 40, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    body = rng.integers(0, 255, (48, 24, 3), dtype=np.uint8)
    pictures = np.repeat(ground[None], 30, axis=0)
    for i, picture in enumerate(pictures):
        picture[40:88, 20 + 8 * i : 44 + 8 * i] = body
    path = encode(tmp_path / "cross.mp4", pictures, **H264)
    spec = MotionSpec(segments=3, frames=8, grid=(12, 12), crop="actor", crop_side=0.8)
    cropped = read_motion_clip(path, spec)
    moving = np.abs(cropped.motion[:, :, 0]) > 4
    columns = [np.nonzero(window.any(axis=(0, 1)))[0].mean() for window in moving]
    assert all(abs(column - 5.5) < 1.5 for column in columns), columns
    assert np.median(cropped.motion[:, :, 0][moving]) == pytest.approx(16, abs=1)  # 8 of 120 rows, in 240
    uncropped = read_motion_clip(path, MotionSpec(segments=3, frames=8, grid=(12, 12)))
    apart = [np.nonzero((np.abs(w) > 1).any(axis=(0, 1)))[0].mean() for w in uncropped.motion[:, :, 0]]
    assert apart[2] - apart[0] > 4
