"""Parts of clips with whole groups and similar classes, the same in all versions of scikit-learn."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from .clip import Clip

__all__ = ["Positions", "groups_of", "most_parts", "stratified_parts"]

Positions: TypeAlias = npt.NDArray[np.int64]

_DRAWS: Final = 10  # divisions by halves that are tried at most,
_DRAWN_GROUPS: Final = 1000  # and groups that all of them together divide, but for the first one
_UNEVEN: Final = 1.5  # how much less even than the division of all clips they may be, and
_MOST_SPREAD: Final = 0.01  # share of a class on top, where that one is nearly exact


def groups_of(clips: Sequence[Clip]) -> list[str]:
    """The group of each clip; one without is its own."""
    return [clip.group if clip.group is not None else clip.name for clip in clips]


def most_parts(clips: Sequence[Clip]) -> int:
    """The most parts that :func:`stratified_parts` divides clips into: as many as there are groups, or clips
    of the largest class, whichever is less."""
    largest = max(Counter(clip.label for clip in clips).values(), default=0)
    return min(len(set(groups_of(clips))), largest)


def stratified_parts(clips: Sequence[Clip], parts: int, seed: int) -> list[tuple[Positions, Positions]]:
    """Positions of (rest, part) for each of equal parts.

    scikit-learn's StratifiedGroupKFold takes groups by the spread of their classes. Its seed decides between
    equal groups only, and its shuffling, up to version 1.7, moves the class counts but not the groups.
    So groups are put in a random order here, and where they are unlike, a random half of the clips is
    divided, with one of each group at least; the others follow their groups. The first of such divisions
    that is nearly as even as that of all clips is taken, else the most even one. Ten are drawn at most, fewer
    above 100 groups, and one above 500: many groups even out, and each division of them takes long.

    Args:
        clips: to be divided.
        parts: at most :func:`most_parts`.
        seed: of the division, from 0 to 2**32 - 1.
    """
    labels, groups = (
        np.unique(names, return_inverse=True)[1] for names in (_labels(clips), groups_of(clips))
    )
    random = np.random.RandomState(seed)  # the generator of scikit-learn
    order = np.arange(groups.max(initial=-1) + 1)
    random.shuffle(order)
    numbers = np.argsort(order)[groups]
    everywhere = np.ones(len(clips), bool)
    best = _divide(labels, numbers, everywhere, parts)
    if _are_unlike(labels, groups):
        limit = _UNEVEN * _spread(labels, best, parts) + _MOST_SPREAD
        drawn: list[Positions] = []
        most = min(max(_DRAWN_GROUPS // len(order), 1), _DRAWS)
        while len(drawn) < most and (not drawn or _spread(labels, drawn[-1], parts) > limit):
            drawn.append(_divide(labels, numbers, _half(labels, numbers, random), parts))
        best = min(reversed(drawn), key=lambda part: max(_spread(labels, part, parts), limit))
    return [(np.flatnonzero(best != number), np.flatnonzero(best == number)) for number in range(parts)]


def _labels(clips: Sequence[Clip]) -> list[str]:
    return [clip.label for clip in clips]


def _are_unlike(labels: Positions, groups: Positions) -> bool:
    """Whether scikit-learn takes the groups in an order of its own."""
    counts = np.zeros((groups.max(initial=-1) + 1, labels.max(initial=-1) + 1))
    np.add.at(counts, (groups, labels), 1)
    return len(np.unique(counts.std(axis=1).round(9))) > 1


def _half(labels: Positions, groups: Positions, random: np.random.RandomState) -> npt.NDArray[np.bool_]:
    """About half of the clips: one of each group and all of the largest class among them."""
    chosen = random.rand(len(groups)) < 0.5
    shuffled = random.permutation(len(groups))
    chosen[shuffled[np.unique(groups[shuffled], return_index=True)[1]]] = True
    return np.asarray(chosen | (labels == np.bincount(labels).argmax()))


def _divide(labels: Positions, groups: Positions, chosen: npt.NDArray[np.bool_], parts: int) -> Positions:
    """The part of each clip, divided by the chosen ones."""
    from sklearn.model_selection import StratifiedGroupKFold  # a second to import, and not needed by workers

    positions = np.flatnonzero(chosen)
    part_of = np.zeros(groups.max(initial=0) + 1, np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # classes smaller than the number of parts
        splits = StratifiedGroupKFold(n_splits=parts).split(positions, labels[positions], groups[positions])
        for number, (_, part) in enumerate(splits):
            part_of[groups[positions[part]]] = number
    return part_of[groups]


def _spread(labels: Positions, part: Positions, parts: int) -> float:
    """Standard deviation of a class's shares in the parts, mean over classes."""
    counts = np.zeros((parts, labels.max(initial=0) + 1))
    np.add.at(counts, (part, labels), 1)
    return float((counts / counts.sum(axis=0)).std(axis=0).mean())
