"""Classes that mirror each other, by name and on validation clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from moclip_lite.datasets import Clip
from moclip_lite.motion.mirrors import MeanMotion, mirrored_classes
from moclip_lite.motion.store import MotionStore


@pytest.mark.parametrize(
    ("labels", "pairs"),
    [
        (("turn_left", "turn_right", "walk"), [("turn_left", "turn_right")]),
        (
            ("LeftKick", "RightKick", "left punch", "right punch"),
            [("LeftKick", "RightKick"), ("left punch", "right punch")],
        ),
        (("left", "bright", "walk"), []),
        (("left to right", "right to left"), [("left to right", "right to left")]),
        (("left", "up"), []),
        (("Walk", "walk"), []),
        (("caf\u00e9", "cafe\u0301"), []),
        (("Left", "left", "right"), [("Left", "right"), ("left", "right")]),
    ],
)
def test_names(labels: tuple[str, ...], pairs: list[tuple[str, str]]) -> None:
    mirrored = mirrored_classes(labels, MeanMotion(Moving({})), [], [])
    assert mirrored.pairs == pairs
    assert mirrored.reason == ("by their names" if pairs else "on validation")


class Moving(MotionStore):
    """Clips that move as their class says, with noise; a class moves by (x, y) or in both directions."""

    def __init__(self, steps: dict[str, list[tuple[float, float]]]) -> None:
        self.steps = steps

    def moving(self, clips: Sequence[Clip]) -> list[Clip]:
        return list(clips)

    def motion(self, clip: Clip, encoding: int = 0) -> np.ndarray:  # type: ignore[type-arg]
        number = int(clip.name.rpartition("_")[2])
        steps = self.steps[clip.label]
        field = np.array(steps[number % len(steps)])[:, None, None]
        noise = np.random.default_rng([number, len(clip.label)]).normal(0, 0.3, (4, 3, 2, 6, 8))
        return (field + noise).astype(np.float16)


def clips(labels: Sequence[str], count: int, first: int = 0) -> list[Clip]:
    return [Clip(Path("x"), f"{label}_{n}", label) for label in labels for n in range(first, first + count)]


def found(steps: dict[str, list[tuple[float, float]]], val: int = 6) -> list[tuple[str, str]]:
    labels = sorted(steps)
    return mirrored_classes(
        labels, MeanMotion(Moving(steps)), clips(labels, 10), clips(labels, val, 10)
    ).pairs


def test_classes_of_opposite_directions_are_found() -> None:
    steps = {"east": [(2.0, 0.0)], "west": [(-2.0, 0.0)], "up": [(0.0, -2.0)], "down": [(0.0, 2.0)]}
    assert found(steps) == [("east", "west")]


def test_classes_that_move_both_ways_do_not_mirror_each_other() -> None:
    assert found({"walk": [(2.0, 0.0), (-2.0, 0.0)], "jump": [(0.0, -2.0)], "sit": [(0.0, 2.0)]}) == []


def test_a_class_that_happens_to_move_one_way_is_not_a_pair() -> None:
    assert found({"run": [(3.0, 0.0)], "jump": [(0.0, -2.0)], "sit": [(0.0, 2.0)]}) == []


def test_too_few_clips_say_nothing() -> None:
    assert found({"east": [(2.0, 0.0)], "west": [(-2.0, 0.0)]}, val=2) == []
    assert mirrored_classes(["a"], MeanMotion(Moving({})), [], []).pairs == []
