"""Paired comparison of two sets of predictions on the same clips, with its significance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ..errors import DataError
from .predictions import ClipKey, Prediction
from .statistics import (
    Interval,
    McNemar,
    Verdict,
    joined_units,
    mcnemar,
    paired_bootstrap,
    permutation_p,
    verdict,
)

__all__ = ["ClassDifference", "Difference", "compare_predictions"]

_NAMED: Final = 3  # folds of a run in a message

Predictions = Mapping[ClipKey, Prediction]
Groups = Callable[[list[ClipKey]], Sequence[str | None] | None]


@dataclass(frozen=True)
class ClassDifference:
    """One class: its tests, and those that only A and only B classified correctly."""

    label: str
    tests: int
    only_a: int
    only_b: int

    @property
    def points(self) -> float:
        """Accuracy of A minus that of B, in percentage points."""
        return 100 * (self.only_a - self.only_b) / self.tests


@dataclass(frozen=True)
class Difference:
    """A against B on the clips that both were tested on.

    Attributes:
        tests: number of tests; a clip that several folds tested counts in each.
        clips: number of different clips.
        groups: number of groups they come from; 0 where groups are unknown.
        units: number of sampling units of the interval and p: groups, or clips.
        contradict: whether A and B know different groups; clips that share one in either are then one unit.
        left_out: tests that only one of the two has.
        a, b: accuracy in percent on the common tests.
        points: a minus b, with its 95 % interval.
        test: McNemar's, on single tests.
        p: McNemar's where each unit was tested once, else of a permutation test that keeps units whole.
        verdict: what may be concluded about A.
        classes: by class, the largest gain first.
    """

    tests: int
    clips: int
    groups: int
    units: int
    contradict: bool
    left_out: int
    a: float
    b: float
    points: Interval
    test: McNemar
    p: float
    verdict: Verdict
    classes: tuple[ClassDifference, ...]

    @property
    def method(self) -> str:
        """The methods of the interval and of p, and their sampling units."""
        kind = "groups" if self.groups else "clips"
        if self.units == self.tests:
            return f"paired bootstrap over {self.units} {kind}; p: McNemar's exact test"
        return f"paired cluster bootstrap over {self.units} {kind}; p: permutation test over the same {kind}"


def compare_predictions(
    a: Predictions, b: Predictions, groups_of: Groups, groups_of_b: Groups | None = None
) -> Difference:
    """Compare A with B.

    Args:
        a, b: test -> prediction. Tests are paired by clip where both tested each clip once, whatever their
            folds are called; by clip and fold otherwise.
        groups_of: returns the group of each clip (None for a clip without),
            or None where no groups are known.
        groups_of_b: the same where B knows groups of its own.

    Raises:
        DataError: no clip in common, or a clip has another label in one of them.
    """
    keys_a, keys_b = _paired(a, b)
    if not keys_a:
        raise DataError(_nothing_in_common(a, b))
    tests = [(a[key], b[other]) for key, other in zip(keys_a, keys_b, strict=True)]
    for key, (one, other) in zip(keys_a, tests, strict=True):
        if one.label != other.label:
            raise DataError(f"{key.name} is {one.label!r} in one and {other.label!r} in the other")
    a_correct, b_correct = (np.array([side.correct for side in sides]) for sides in zip(*tests, strict=True))
    groups = (groups_of(keys_a), (groups_of_b or groups_of)(keys_b))
    units = joined_units([key.name for key in keys_a], *(side or [None] * len(tests) for side in groups))
    points = paired_bootstrap(a_correct, b_correct, units.names)
    test = mcnemar(a_correct, b_correct)
    p = test.p if units.single else permutation_p(a_correct, b_correct, units.names)
    return Difference(
        tests=len(tests),
        clips=len({key.name for key in keys_a}),
        groups=units.count if units.kind == "groups" else 0,
        units=units.count,
        contradict=units.contradict,
        left_out=len(a) + len(b) - 2 * len(tests),
        a=100 * float(a_correct.mean()),
        b=100 * float(b_correct.mean()),
        points=points,
        test=test,
        p=p,
        verdict=verdict(points, p),
        classes=_classes(tests),
    )


def _paired(a: Predictions, b: Predictions) -> tuple[list[ClipKey], list[ClipKey]]:
    """The tests that both have, in the same order: those of A and those of B."""
    by_name = [{key.name: key for key in side} for side in (a, b)]
    if len(by_name[0]) == len(a) and len(by_name[1]) == len(b):
        names = sorted(by_name[0].keys() & by_name[1].keys())
        return [by_name[0][name] for name in names], [by_name[1][name] for name in names]
    keys = sorted(a.keys() & b.keys())
    return keys, keys


def _nothing_in_common(a: Predictions, b: Predictions) -> str:
    """Why two sets of predictions have no test in common."""
    shared = len({key.name for key in a} & {key.name for key in b})
    if not shared:
        return "they were tested on no clip in common, so there is nothing to compare"
    folds = [sorted({key.fold for key in side}) for side in (a, b)]
    words = [", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "") for names in folds]
    return (
        f"they share {shared} clips, but no fold ({words[0]}; {words[1]}), and clips that are tested several "
        "times are paired by fold and seed: give both runs the same run.seed, run.seeds and data.protocol"
    )


def _classes(tests: Sequence[tuple[Prediction, Prediction]]) -> tuple[ClassDifference, ...]:
    counts: dict[str, list[int]] = {}
    for a, b in tests:
        row = counts.setdefault(a.label, [0, 0, 0])
        row[0] += 1
        row[1] += a.correct and not b.correct
        row[2] += b.correct and not a.correct
    classes = [ClassDifference(label, *row) for label, row in counts.items()]
    return tuple(sorted(classes, key=lambda c: (-c.points, c.label)))
