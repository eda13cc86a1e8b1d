"""Fewer training clips per class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from moclip_lite.datasets import Clip, Fold
from moclip_lite.datasets.fewshot import limit_train


def fold() -> Fold:
    parts = []
    for part, count in (("train", 10), ("val", 3), ("test", 5)):
        names = [f"{label}/{part}{i}" for label in "abc" for i in range(count)]
        parts.append(tuple(Clip(Path(n), n, n[0]) for n in names))
    return Fold("f", *parts)


def test_so_many_of_each_class() -> None:
    few = limit_train(fold(), 4, seed=0)
    assert set(Counter(c.label for c in few.train).values()) == {4}
    assert set(Counter(c.label for c in few.val).values()) == {3}
    assert few.test == fold().test


def test_smaller_sets_lie_in_larger_ones_and_seeds_differ() -> None:
    two, eight, other = (limit_train(fold(), n, seed) for n, seed in ((2, 0), (8, 0), (2, 1)))
    assert set(two.train) < set(eight.train)
    assert set(two.train) != set(other.train)
    assert limit_train(fold(), 99, 0) == fold()
    with pytest.raises(ValueError, match="at least 1"):
        limit_train(fold(), 0, 0)
