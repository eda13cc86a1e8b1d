"""Fewer training clips per class, for curves over the amount of data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .clip import Clip, Fold

__all__ = ["limit_train"]


def limit_train(fold: Fold, per_class: int, seed: int) -> Fold:
    """At most `per_class` training and as many validation clips of each class; test stays whole.

    Validation shrinks as well: who has four clips of a class does not have forty to choose an
    epoch on. For one seed the clips of a smaller number are among those of a larger one.

    Raises:
        ValueError: `per_class` is below 1.
    """
    if per_class < 1:
        raise ValueError(f"per_class must be at least 1, got {per_class}")
    train, val = (_few(part, per_class, seed) for part in (fold.train, fold.val))
    return replace(fold, train=train, val=val)


def _few(clips: Sequence[Clip], per_class: int, seed: int) -> tuple[Clip, ...]:
    ordered = sorted(clips, key=lambda clip: clip.name)
    order = np.random.default_rng(seed).permutation(len(ordered))
    taken: dict[str, int] = {}
    kept = set()
    for position in order:
        label = ordered[position].label
        if taken.get(label, 0) < per_class:
            taken[label] = taken.get(label, 0) + 1
            kept.add(ordered[position].name)
    return tuple(clip for clip in clips if clip.name in kept)
