"""Samples: which tests are independent, and checks of the values given for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = [
    "Floats",
    "Units",
    "Values",
    "checked_pair",
    "checked_values",
    "cluster_numbers",
    "joined_units",
    "units_of",
]

Values = npt.ArrayLike
Floats = npt.NDArray[np.float64]
Groups = Sequence[str | None]


@dataclass(frozen=True)
class Units:
    """Sampling units of a series of tests: the groups of the clips, or the clips.

    Attributes:
        names: [N], the unit of each test; tests with the same unit are correlated.
        kind: what the units are.
        contradict: whether they were joined from groupings that do not agree.
    """

    names: list[str]
    kind: Literal["clips", "groups"]
    contradict: bool = False

    @property
    def count(self) -> int:
        """Number of different units."""
        return len(set(self.names))

    @property
    def single(self) -> bool:
        """Whether each unit was tested once, so that the tests are independent."""
        return self.count == len(self.names)

    @property
    def words(self) -> str:
        """The interval's method and its sampling units, such as "Wilson over 90 clips"."""
        units = f"{self.count} {self.kind if self.count != 1 else self.kind[:-1]}"
        if self.single and self.count > 1:
            return f"Wilson over {units}"
        if self.count == 1:
            return f"none: {units} gives no estimate of the spread"
        return f"cluster bootstrap over {units}"


def units_of(clips: Sequence[str], groups: Groups) -> Units:
    """Sampling units of tests: groups where any are known (a clip without one is its own), else clips.

    Folds are not sampling units: three folds that agree by chance would give an interval of almost no width.

    Args:
        clips: [N], the clip of each test; a clip may be tested in several folds.
        groups: [N], its group, None (or empty) where it has none.
    """
    if not any(groups):
        return Units(list(clips), "clips")
    pairs = zip(clips, groups, strict=True)
    return Units([f"g {group}" if group else f"c {clip}" for clip, group in pairs], "groups")


def joined_units(clips: Sequence[str], first: Groups, second: Groups) -> Units:
    """Sampling units of tests that two results have, each with groups of its own.

    Tests that share a group in either are one unit, so that it does not matter which result is named first.
    Where one knows no groups, the units are those of the other.

    Args:
        clips: as in :func:`units_of`.
        first, second: [N], the groups of the tests in either result.
    """
    if list(first) == list(second) or not any(second):
        return units_of(clips, first)
    if not any(first):
        return units_of(clips, second)
    sides = zip(first, second, strict=True)
    rows = [[(side, group) for side, group in enumerate(pair) if group] for pair in sides]
    units = _linked(rows)
    pairs = {tuple(row) for row in rows if len(row) == 2}
    odd = any(len({pair[side] for pair in pairs}) < len(pairs) for side in (0, 1))
    return replace(units_of(clips, units), contradict=odd)


def _linked(rows: Sequence[Sequence[tuple[int, str]]]) -> list[str | None]:
    """The unit of each test from its groups, [N]: tests with a group in common have the same; None without.

    Units are called after the first of their tests.
    """
    above: dict[tuple[int, str], tuple[int, str]] = {}

    def root(group: tuple[int, str]) -> tuple[int, str]:
        while (parent := above.setdefault(group, group)) != group:
            group = parent
        return group

    for row in rows:
        for group in row:
            above[root(group)] = root(row[0])
    names: dict[tuple[int, str], str] = {}
    return [names.setdefault(root(row[0]), str(i)) if row else None for i, row in enumerate(rows)]


def checked_values(values: Values, name: str) -> Floats:
    """Values as a float64 vector [N].

    Raises:
        ValueError: no value, one that is not finite, or not a vector.
    """
    vector = np.asarray(values, np.float64)
    if vector.ndim != 1 or not len(vector):
        raise ValueError(f"{name} must be a list of at least one number, got shape {vector.shape}")
    if not np.isfinite(vector).all():
        raise ValueError(f"{name} contain a number that is not finite")
    return vector


def checked_pair(a_correct: Values, b_correct: Values) -> tuple[Floats, Floats]:
    """Correctness (0 to 1) of two classifiers on the same clips.

    Raises:
        ValueError: different lengths, no clip, or values outside 0 to 1.
    """
    a, b = checked_values(a_correct, "a_correct"), checked_values(b_correct, "b_correct")
    if len(a) != len(b):
        raise ValueError(f"both results must be of the same clips, got {len(a)} and {len(b)} values")
    if min(a.min(), b.min()) < 0 or max(a.max(), b.max()) > 1:
        raise ValueError("correctness must be from 0 to 1")
    return a, b


def cluster_numbers(names: Sequence[str], count: int) -> npt.NDArray[np.int64]:
    """The number of each test's cluster, [N].

    Raises:
        ValueError: `names` does not have `count` entries.
    """
    if len(names) != count:
        raise ValueError(f"{count} values need as many groups, got {len(names)}")
    _, numbers = np.unique(np.asarray(names, object).astype(str), return_inverse=True)
    return numbers.astype(np.int64)
