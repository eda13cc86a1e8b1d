"""Parts of clips with whole groups and similar classes, the same in all versions of scikit-learn."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .clip import Clip

__all__ = ["Positions", "groups_of", "most_parts", "stratified_parts"]

Positions: TypeAlias = npt.NDArray[np.int64]


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

    Groups are numbered in a random order, and scikit-learn divides them without shuffling. Its own shuffling,
    up to version 1.7, moves the class counts of groups but not the groups: parts get unlike classes, and
    for groups of one clip the seed has no effect. The order is that of its later versions.

    Args:
        clips: to be divided.
        parts: at most :func:`most_parts`.
        seed: of the order, from 0 to 2**32 - 1.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # a second to import, and not needed by workers

    names, numbers = np.unique(groups_of(clips), return_inverse=True)
    order = np.arange(len(names))
    np.random.RandomState(seed).shuffle(order)  # the generator of scikit-learn
    splitter = StratifiedGroupKFold(n_splits=parts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # classes smaller than the number of parts
        labels = [clip.label for clip in clips]
        return list(splitter.split(np.zeros(len(clips)), labels, np.argsort(order)[numbers]))
