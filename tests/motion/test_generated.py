"""Generated motion of figures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from moclip_lite.motion.generated import ACTIONS, GeneratedMotion, _Scene
from moclip_lite.motion.settings import MotionSpec


def scene(action: str, seed: int = 0, **settings: object) -> _Scene:
    return _Scene(action, MotionSpec.model_validate(settings), np.random.default_rng(seed))


def centre(parts: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return parts[:, 0].reshape(-1, 7).mean(axis=1)


@pytest.mark.parametrize("grid", [(24, 32), (7, 9), (12, 16)])
def test_batches_depend_on_seed_and_number_only(grid: tuple[int, int]) -> None:
    spec = MotionSpec(frames=3, grid=grid)
    motion, labels = GeneratedMotion(spec, 5).batch(2, clips=4, windows=2)
    again, labels_again = GeneratedMotion(spec, 5).batch(2, clips=4, windows=2)
    assert motion.shape == (4, 2, 3, 2, *grid)
    assert (motion.dtype, labels.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(motion, again)
    np.testing.assert_array_equal(labels, labels_again)
    for other in (GeneratedMotion(spec, 6).batch(2, 4, 2), GeneratedMotion(spec, 5).batch(3, 4, 2)):
        assert not np.array_equal(motion, other[0])


@pytest.mark.parametrize("action", ACTIONS)
def test_fields_are_those_of_an_encoder(action: str) -> None:
    """Quarter samples, cells without motion, I pictures, and something that moves."""
    clip = scene(action)
    fields = np.stack([clip.field(time) for time in range(60)])
    assert np.isfinite(fields).all()
    np.testing.assert_array_equal(fields * 4, np.round(fields * 4))
    resting = ~fields.any(axis=(1, 2, 3))
    assert 1 <= resting.sum() < 60  # at least the I pictures
    assert (fields == 0).any()


def test_walkers_go_where_they_face_and_vectors_point_back() -> None:
    for seed in range(8):
        clip = scene("run", seed)
        moved = centre(clip._parts(20)) - centre(clip._parts(0))
        assert np.sign(moved[0]) == clip._side


def test_pairs_meet_and_part() -> None:
    for action, sign in (("approach", -1), ("separate", 1)):
        clip = scene(action)
        apart = [np.diff(centre(clip._parts(time)))[0] for time in (5, 30)]
        assert np.sign(apart[1] - apart[0]) == sign
        assert apart[0] > 0


def test_the_stride_of_a_window_steps_over_pictures() -> None:
    every, second = (
        GeneratedMotion(MotionSpec(frames=5, stride=stride), 1).batch(0, 8, 1)[0] for stride in (1, 2)
    )
    np.testing.assert_array_equal(every[0, 0, 0], second[0, 0, 0])
    assert not np.array_equal(every[0], second[0])


def test_compensated_motion_has_no_camera() -> None:
    """The corners move with the camera, seldom with anything else."""

    def share(field: str) -> float:
        scenes = [scene("wave", seed, field=field) for seed in range(30)]
        return float(np.mean([s.field(s._offset + 3)[:, 0, 0].any() for s in scenes]))

    assert share("compensated") < 0.2 < share("raw")
