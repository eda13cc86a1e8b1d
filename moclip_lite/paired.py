"""Two sets of predictions on the same clips: what differs, and whether that means anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .errors import DataError
from .runs import ClipKey, Prediction
from .statistics import Interval, McNemar, Verdict, mcnemar, paired_bootstrap, verdict

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
        clips: how many.
        groups: how many groups they come from; 0 where groups are unknown.
        left_out: clips that only one of them was tested on.
        a, b: accuracy in percent on the common clips.
        points: A less B, with its 95 % interval, drawn by group where groups are known.
        test: McNemar's.
        verdict: what may be said of A.
        classes: by class, the largest gain first.
    """

    clips: int
    groups: int
    left_out: int
    a: float
    b: float
    points: Interval
    test: McNemar
    verdict: Verdict
    classes: tuple[ClassDifference, ...]


def compare_predictions(
    a: Predictions, b: Predictions, groups_of: Callable[[list[ClipKey]], list[str] | None]
) -> Difference:
    """Set A against B.

    Args:
        a, b: clip -> prediction.
        groups_of: the group of each clip, or None.

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
    groups = groups_of(keys)
    points = paired_bootstrap(right_a, right_b, groups=groups)
    test = mcnemar(right_a, right_b)
    return Difference(
        clips=len(keys), groups=len(set(groups)) if groups else 0, left_out=len(a.keys() ^ b.keys()),
        a=100 * float(right_a.mean()), b=100 * float(right_b.mean()), points=points, test=test,
        verdict=verdict(points, test.p), classes=_classes(keys, a, b),
    )  # fmt: skip


def _classes(keys: list[ClipKey], a: Predictions, b: Predictions) -> tuple[ClassDifference, ...]:
    counts: dict[str, list[int]] = {}
    for key in keys:
        row = counts.setdefault(a[key].label, [0, 0, 0])
        row[0] += 1
        row[1] += a[key].correct and not b[key].correct
        row[2] += b[key].correct and not a[key].correct
    found = [ClassDifference(label, *row) for label, row in counts.items()]
    return tuple(sorted(found, key=lambda c: (-c.points, c.label)))
