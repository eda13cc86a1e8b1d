"""Two sets of predictions on the same clips: what differs, and whether that means anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from .read import ClipKey, Prediction
from .statistics import (
    Interval,
    McNemar,
    Units,
    Verdict,
    mcnemar,
    paired_bootstrap,
    permutation_p,
    units_of,
    verdict,
)

__all__ = ["ClassDifference", "Difference", "compare_predictions"]

Predictions = Mapping[ClipKey, Prediction]


@dataclass(frozen=True)
class ClassDifference:
    """One class: its clips, those that only A and only B got right, and A less B in points."""

    label: str
    clips: int
    only_a: int
    only_b: int

    @property
    def points(self) -> float:
        """Percentage points that A is above B."""
        return 100 * (self.only_a - self.only_b) / self.clips


@dataclass(frozen=True)
class Difference:
    """A against B on the clips that both were tested on.

    Attributes:
        clips: how many tests; a clip that several folds tested counts in each.
        units: how many units the interval and p are over: groups, or clips.
        groups: how many groups they come from; 0 where groups are unknown.
        left_out: clips that only one of them was tested on.
        a, b: accuracy in percent on the common clips.
        points: A less B, with its 95 % interval, drawn by group where groups are known, else by clip.
        test: McNemar's, of single tests.
        p: McNemar's where each unit was tested once, else of a permutation test that keeps units whole.
        verdict: what may be said of A.
        classes: by class, the largest gain first.
    """

    clips: int
    groups: int
    units: int
    left_out: int
    a: float
    b: float
    points: Interval
    test: McNemar
    p: float
    verdict: Verdict
    classes: tuple[ClassDifference, ...]

    @property
    def how(self) -> str:
        """What the interval and p are, and what they are over."""
        kind = "groups" if self.groups else "clips"
        if self.units == self.clips:
            return f"paired bootstrap over {self.units} {kind}; p: McNemar's exact test"
        return f"paired cluster bootstrap over {self.units} {kind}, drawn whole; p: permutation test over the same"


def compare_predictions(
    a: Predictions, b: Predictions, groups_of: Callable[[list[ClipKey]], Sequence[str | None] | None]
) -> Difference:
    """Set A against B.

    Args:
        a, b: clip -> prediction.
        groups_of: the group of each clip, None for a clip without, or None where no groups are known.

    Raises:
        DataError: no clip in common, or a clip has another label in one of them.
    """
    keys = sorted(a.keys() & b.keys())
    if not keys:
        raise DataError("they were tested on no clip in common, so there is nothing to compare")
    for key in keys:
        if a[key].label != b[key].label:
            raise DataError(f"{key.name} is {a[key].label!r} in one and {b[key].label!r} in the other")
    right_a = np.array([a[key].correct for key in keys])
    right_b = np.array([b[key].correct for key in keys])
    units = _units(keys, groups_of)
    points = paired_bootstrap(right_a, right_b, groups=units.names)
    test = mcnemar(right_a, right_b)
    p = test.p if units.single else permutation_p(right_a, right_b, groups=units.names)
    return Difference(
        clips=len(keys), groups=units.count if units.kind == "groups" else 0,
        units=units.count, left_out=len(a.keys() ^ b.keys()),
        a=100 * float(right_a.mean()), b=100 * float(right_b.mean()), points=points, test=test,
        p=p, verdict=verdict(points, p), classes=_classes(keys, a, b),
    )  # fmt: skip


def _units(keys: list[ClipKey], groups_of: Callable[[list[ClipKey]], Sequence[str | None] | None]) -> Units:
    groups = groups_of(keys)
    return units_of([key.name for key in keys], [None] * len(keys) if groups is None else groups)


def _classes(keys: list[ClipKey], a: Predictions, b: Predictions) -> tuple[ClassDifference, ...]:
    counts: dict[str, list[int]] = {}
    for key in keys:
        row = counts.setdefault(a[key].label, [0, 0, 0])
        row[0] += 1
        row[1] += a[key].correct and not b[key].correct
        row[2] += b[key].correct and not a[key].correct
    found = [ClassDifference(label, *row) for label, row in counts.items()]
    return tuple(sorted(found, key=lambda c: (-c.points, c.label)))
