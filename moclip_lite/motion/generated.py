"""Generated motion of articulated figures, as an encoder would store it: labelled, seeded, without any video.

One figure, or two that act on each other, move before passers-by and a camera that stands still, pans or
zooms. Blocks, skipped cells, noise, I pictures and quarter-sample rounding are those of encoders. A network
that tells the actions apart has learned limbs, directions and rhythms that small sets
of clips are too few for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from .settings import MotionSpec

__all__ = ["ACTIONS", "GeneratedMotion"]

Pose = npt.NDArray[np.float32]
"""[7, 3]: x, y and radius of head, chest, hips, near hand, far hand, near foot, far foot, around the figure's
middle. The unit is a 24th of the picture's height."""

_HEAD, _CHEST, _NEAR_HAND, _FAR_HAND, _NEAR_FOOT, _FAR_FOOT = 0, 1, 3, 4, 5, 6
_STANDING: Final = (
    (0.0, -3.2, 0.8),
    (0.0, -1.0, 1.3),
    (0.0, 1.0, 1.1),
    (1.3, -1.0, 0.7),
    (-1.3, -0.8, 0.7),
    (0.5, 3.2, 0.8),
    (-0.5, 3.2, 0.8),
)
_ROWS: Final = 24  # of the unit's grid
_PICTURES: Final = 40  # in which windows begin


@dataclass(frozen=True)
class _Moment:
    """A point in time of an action.

    Attributes:
        time: in pictures, from the action's start.
        angle: of the rhythm, in radians.
    """

    time: float
    angle: float

    @property
    def swing(self) -> float:
        return float(np.sin(self.angle))

    @property
    def rise(self) -> float:
        """From 0 to 1 and back."""
        return 0.5 + 0.5 * self.swing

    @property
    def burst(self) -> float:
        """A short movement in each period, 0 between them."""
        return max(0.0, self.swing) ** 3


def _standing() -> Pose:
    return np.array(_STANDING, np.float32)


def _stride(pose: Pose, legs: float, arms: float) -> None:
    pose[_NEAR_FOOT, 0] += legs
    pose[_FAR_FOOT, 0] -= legs
    pose[_NEAR_HAND, 0] -= arms
    pose[_FAR_HAND, 0] += arms


def _walk(pose: Pose, at: _Moment) -> None:
    _stride(pose, 1.1 * at.swing, 0.7 * at.swing)
    pose[:, 0] += 0.12 * at.time


def _run(pose: Pose, at: _Moment) -> None:
    _stride(pose, 1.9 * at.swing, 1.4 * at.swing)
    pose[:, 0] += 0.35 * at.time
    pose[:, 1] += 0.3 * abs(at.swing)


def _wave(pose: Pose, at: _Moment) -> None:
    pose[_NEAR_HAND, :2] = 1.6 + 0.9 * at.swing, -3.6


def _jump(pose: Pose, at: _Moment) -> None:
    pose[:, 1] -= 2.2 * max(0.0, at.swing)


def _bend(pose: Pose, at: _Moment) -> None:
    pose[_HEAD, :2] += 2.8 * at.rise, 2.6 * at.rise
    pose[_CHEST, :2] += 1.2 * at.rise, 0.6 * at.rise
    pose[_NEAR_HAND, :2] += 1.8 * at.rise, 3.0 * at.rise


def _punch(pose: Pose, at: _Moment) -> None:
    pose[_NEAR_HAND, :2] = 1.1 + 3 * at.burst, -1.8


def _kick(pose: Pose, at: _Moment) -> None:
    pose[_NEAR_FOOT, :2] += 3 * at.burst, -2.6 * at.burst


def _spin(pose: Pose, at: _Moment) -> None:
    reach = 2 * float(np.cos(at.angle))
    pose[_NEAR_HAND, :2] = reach, -1.2
    pose[_FAR_HAND, :2] = -reach, -1.2


_ALONE: Final[dict[str, Callable[[Pose, _Moment], None]]] = {
    "walk": _walk,
    "run": _run,
    "wave": _wave,
    "jump": _jump,
    "bend": _bend,
    "punch": _punch,
    "kick": _kick,
    "spin": _spin,
}
"""Actions of one figure that faces right: each changes a standing pose."""

_TOGETHER: Final = ("approach", "separate", "push", "shake_hands", "hug", "point")
ACTIONS: Final = (*_ALONE, *_TOGETHER)
"""The classes."""


def _pair(action: str, at: _Moment) -> tuple[Pose, Pose]:
    """Two figures that face each other, around the middle between them; the caller mirrors the second."""
    first, second = _standing(), _standing()
    apart = 2.0
    walked = max(at.time + 20, 0.0)
    if action in ("approach", "separate"):
        apart += 1.25 * np.exp(-0.05 * walked) if action == "approach" else 0.045 * walked
        for pose in (first, second):
            _stride(pose, at.swing, 0.0)
    elif action == "push":
        _punch(first, at)
        second[:, 0] -= 1.8 * max(0.0, float(np.sin(at.angle - 0.6))) ** 2  # gives way, behind the blow
    elif action == "shake_hands":
        for pose in (first, second):
            pose[_NEAR_HAND, :2] = 1.7, -0.6 + 0.5 * np.sin(2 * at.angle)
    elif action == "hug":
        for pose in (first, second):
            pose[:, 0] += 1.2 * (0.5 + 0.5 * np.sin(0.5 * at.angle))
    else:  # point
        reach = 0.5 + 0.5 * np.sin(0.6 * at.angle)
        first[_NEAR_HAND, :2] += 1.5 * reach, 0.5 - 1.5 * reach
    for pose in (first, second):
        pose[:, 0] -= apart
    return first, second


class _Scene:
    """A generated clip: an action, its place and rhythm, what moves besides, and the encoder."""

    def __init__(self, action: str, spec: MotionSpec, rng: np.random.Generator) -> None:
        self._action, self._rng = action, rng
        self._rows, self._columns = spec.grid
        self._y, self._x = np.mgrid[0 : self._rows, 0 : self._columns].astype(np.float32) + 0.5
        unit = self._rows / _ROWS
        self._size = unit * rng.uniform(0.55, 1.7)
        self._middle = self._columns * rng.uniform(0.25, 0.75), self._rows * rng.uniform(0.38, 0.62)
        self._side, self._start = rng.choice([-1, 1]), rng.uniform(0, _PICTURES / 2)
        self._rate, self._phase = rng.uniform(0.25, 0.8), rng.uniform(0, 2 * np.pi)
        self._passers = [
            (self._columns * rng.random(), self._rows * rng.random(), v * unit, r * unit)
            for v, r in zip(rng.uniform(-0.25, 0.25, 2), rng.uniform(0.5, 1.5, 2), strict=True)
        ][: rng.integers(0, 3)]
        camera = (
            "still"
            if spec.field == "compensated"
            else rng.choice(["still", "pan", "zoom"], p=[0.6, 0.25, 0.15])
        )
        self._pan = rng.normal(0, 0.15, 2) * (camera == "pan")
        self._zoom = rng.normal(0, 0.004) * (camera == "zoom")
        self._pixels = rng.uniform(8, 22) / unit  # in a cell
        self._noise, self._skipped = rng.uniform(0, 0.04), rng.uniform(0.1, 0.6)
        self._group, self._offset, self._blocks = rng.integers(8, 60), rng.integers(0, 60), rng.integers(1, 3)

    def field(self, time: int) -> npt.NDArray[np.float32]:
        """Vectors of a picture, [2, rows, columns], in pixels per frame; 0 in I pictures."""
        vectors = np.zeros((2, self._rows, self._columns), np.float32)
        if (time + self._offset) % self._group == 0:
            return vectors
        self._move_background(vectors, time)
        for (x, y, radius), (x0, y0, _) in zip(self._parts(time), self._parts(time - 1), strict=True):
            inside = (self._x - x) ** 2 + (self._y - y) ** 2 < (1.1 * radius) ** 2
            vectors[:, inside] = np.array([[x - x0], [y - y0]]) * self._pixels
        return self._encode(vectors)

    def _move_background(self, vectors: npt.NDArray[np.float32], time: int) -> None:
        away = np.stack([self._x - self._columns / 2, self._y - self._rows / 2])
        vectors += (self._pan[:, None, None] + self._zoom * away) * self._pixels
        for x, y, speed, radius in self._passers:
            inside = (self._x - (x + speed * time)) ** 2 + ((self._y - y) / 2) ** 2 < radius**2
            vectors[0][inside] = speed * self._pixels

    def _parts(self, time: int) -> npt.NDArray[np.float32]:
        """Parts of all figures in cells, [P, 3]."""
        passed = time - self._start
        at = _Moment(passed, self._rate * passed + self._phase)
        if self._action in _ALONE:
            pose = _standing()
            _ALONE[self._action](pose, at)
            pose[:, 0] *= self._side
        else:
            first, second = _pair(self._action, at)
            second[:, 0] *= -1
            pose = np.concatenate([first, second])
        pose *= self._size
        pose[:, :2] += self._middle
        return pose

    def _encode(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Blocks of two cells, noise, skips and quarter samples; vectors point to where content was."""
        if self._blocks == 2 and not (self._rows % 2 or self._columns % 2):
            halves = vectors.reshape(2, self._rows // 2, 2, self._columns // 2, 2).mean((2, 4))
            vectors = halves.repeat(2, 1).repeat(2, 2)
        noisy = self._rng.random(vectors.shape[1:]) < self._noise
        seen = vectors + noisy * self._rng.normal(0, 3, vectors.shape)
        seen[:, np.hypot(*seen) < self._skipped] = 0
        return (np.round(-4 * seen) / 4).astype(np.float32)


class GeneratedMotion:
    """Batches of generated motion; each depends on the seed and its number only.

    Args:
        spec: fields in a window, their stride and grid; "compensated" motion has no camera's.
        seed: of all random choices.
    """

    def __init__(self, spec: MotionSpec, seed: int) -> None:
        self._spec, self._seed = spec, seed

    def batch(
        self, number: int, clips: int, windows: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Pixels per frame, float32 [clips, windows, frames, 2, rows, columns], and labels, int64 [clips]."""
        rng = np.random.default_rng([self._seed, number])
        labels = rng.integers(0, len(ACTIONS), clips)
        return np.stack([self._clip(ACTIONS[label], windows, rng) for label in labels]), labels

    def _clip(self, action: str, windows: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        scene, spec = _Scene(action, self._spec, rng), self._spec
        begins = rng.integers(0, _PICTURES, windows)
        return np.stack(
            [[scene.field(int(begin) + i * spec.stride) for i in range(spec.frames)] for begin in begins]
        )
