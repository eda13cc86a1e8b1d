"""Limited numbers of training clips per class, for curves over the amount of data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .clip import Clip, Fold

__all__ = ["limit_train"]


def limit_train(fold: Fold, per_class: int, seed: int) -> Fold:
    """Keep at most `per_class` training and as many validation clips of each class; test is unchanged.

    Validation shrinks as well: with four training clips of a class there would not be forty to choose
    an epoch on. For one seed the clips of a smaller number are among those of a larger one.

    Raises:
        ValueError: `per_class` is below 1.
    """
    if per_class < 1:
        raise ValueError(f"per_class must be at least 1, got {per_class}")
    train, val = (_draw(part, per_class, seed) for part in (fold.train, fold.val))
    return replace(fold, train=train, val=val)


def _draw(clips: Sequence[Clip], per_class: int, seed: int) -> tuple[Clip, ...]:
    by_name = sorted(clips, key=lambda clip: clip.name)
    counts: Counter[str] = Counter()
    drawn = set()
    for position in np.random.default_rng(seed).permutation(len(by_name)):
        clip = by_name[position]
        if counts[clip.label] < per_class:
            counts[clip.label] += 1
            drawn.add(clip.name)
    return tuple(clip for clip in clips if clip.name in drawn)
