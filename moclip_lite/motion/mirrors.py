"""Classes that mirror each other, such as "turn left" and "turn right": flips would make them one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ..datasets import Clip
from ..datasets.clip import class_numbers, shorten
from ..datasets.spellings import folded
from .store import MotionStore

__all__ = ["MeanMotion", "Mirrored", "mirrored_classes"]

_CELLS: Final = (3, 4)  # rows, columns that a clip's motion is averaged over
_MIN_CLIPS: Final = 3  # validation clips of each class of a pair
_SHARE: Final = 2 / 3  # of them that must be recognised, and taken for the other class when flipped
_RIDGE: Final = 1.0

Floats = npt.NDArray[np.float64]
Pairs = list[tuple[str, str]]


class Mirrored(NamedTuple):
    """Pairs of classes that mirror each other, and by what they were recognised."""

    pairs: Pairs
    reason: str

    @property
    def words(self) -> str:
        """For people."""
        pairs = shorten([f"{one} and {other}" for one, other in self.pairs])
        return f"classes mirror each other {self.reason} ({pairs})"


class MeanMotion:
    """Mean motion of clips in parts of the picture; of each clip it is computed once, for all folds.

    Args:
        store: motion of the clips.
    """

    def __init__(self, store: MotionStore) -> None:
        self._store = store
        self._rows: dict[str, Floats | None] = {}

    def rows(self, clips: Sequence[Clip]) -> tuple[list[Clip], Floats]:
        """(those of the clips with motion, their mean motion [N, 2, 3, 4])."""
        for clip in clips:
            if clip.name not in self._rows:
                moving = bool(self._store.moving([clip]))
                self._rows[clip.name] = _mean_motion(self._store.motion(clip)) if moving else None
        found = [(clip, row) for clip in clips if (row := self._rows[clip.name]) is not None]
        return [clip for clip, _ in found], np.array([row for _, row in found])


def mirrored_classes(
    labels: Sequence[str], motion: MeanMotion, train: Sequence[Clip], val: Sequence[Clip]
) -> Mirrored:
    """Pairs of classes that mirror each other: by their names, or else by their validation clips.

    Args:
        labels: class names.
        motion: of the clips.
        train, val: the clips; those without motion are left out.
    """
    if pairs := _by_label(labels):
        return Mirrored(pairs, "by their names")
    return Mirrored(_on_validation(motion, train, val, labels), "on validation")


def _by_label(labels: Sequence[str]) -> Pairs:
    """Pairs of labels that differ in "left" and "right" only; spellings of one name are no pair."""
    plain = {label: folded(label) for label in labels}
    swapped = {
        label: re.sub("left|right", lambda side: {"left": "right", "right": "left"}[side.group()], name)
        for label, name in plain.items()
    }
    return sorted(
        (label, other)
        for label in labels
        for other in labels
        if label < other and plain[label] != plain[other] and swapped[label] == plain[other]
    )


def _on_validation(
    motion: MeanMotion, train: Sequence[Clip], val: Sequence[Clip], labels: Sequence[str]
) -> Pairs:
    """Pairs of classes whose validation clips are taken for each other when they are flipped.

    A ridge classifier of each clip's mean motion in 3 x 4 parts of the picture is fitted to the training
    clips. A pair counts if two thirds of both classes' validation clips, three at least, are recognised as
    they are, and taken for the other class when mirrored.

    Args:
        motion: of the clips.
        train, val: the clips.
        labels: class names.
    """
    if np.bincount(class_numbers(val, labels), minlength=2).max(initial=0) < _MIN_CLIPS:
        return []  # before any motion is read
    (train, rows), (val, seen) = motion.rows(train), motion.rows(val)
    targets = class_numbers(val, labels)
    if len(train) < 2 or np.bincount(targets, minlength=2).max(initial=0) < _MIN_CLIPS:
        return []
    weights = _fit(rows, class_numbers(train, labels), len(labels))
    plain, flipped = _classify(seen, weights), _classify(_flip(seen), weights)

    def swaps(one: int, other: int) -> bool:
        own = targets == one
        both = (plain[own] == one) & (flipped[own] == other)
        return int(own.sum()) >= _MIN_CLIPS and float(both.mean()) >= _SHARE

    count = len(labels)
    return [
        (labels[a], labels[b])
        for a in range(count)
        for b in range(a + 1, count)
        if swaps(a, b) and swaps(b, a)
    ]


def _mean_motion(motion: npt.NDArray[np.float16]) -> Floats:
    """[segments, frames, 2, rows, columns] -> compressed mean motion of parts of the picture, [2, 3, 4]."""
    field = np.arcsinh(motion.astype(np.float64)).mean(axis=(0, 1))
    parts = [np.array_split(half, _CELLS[1], axis=2) for half in np.array_split(field, _CELLS[0], axis=1)]
    return np.array([[part.mean(axis=(1, 2)) for part in row] for row in parts]).transpose(2, 0, 1)


def _flip(rows: Floats) -> Floats:
    """Mirror [N, 2, rows, columns] horizontally."""
    return np.asarray(rows[..., ::-1] * np.array([-1.0, 1.0])[:, None, None])


def _fit(rows: Floats, targets: npt.NDArray[np.int64], classes: int) -> tuple[Floats, Floats]:
    """Scale of the features, and ridge weights from scaled features and 1 to scores."""
    flat = rows.reshape(len(rows), -1)
    scale = np.sqrt((flat**2).mean(axis=0)) + 1e-6  # no centring: a flip must stay a change of sign
    inputs = np.column_stack([flat / scale, np.ones(len(flat))])
    wanted = np.eye(classes)[targets]
    weights = np.linalg.solve(inputs.T @ inputs + _RIDGE * np.eye(inputs.shape[1]), inputs.T @ wanted)
    return scale, weights


def _classify(rows: Floats, weights: tuple[Floats, Floats]) -> npt.NDArray[np.int64]:
    flat = rows.reshape(len(rows), -1) / weights[0]
    scores = np.column_stack([flat, np.ones(len(flat))]) @ weights[1]
    return np.asarray(scores.argmax(axis=1), np.int64)
