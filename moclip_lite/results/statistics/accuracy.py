"""Intervals of accuracies: Wilson's where tests are independent, else a cluster bootstrap."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from .bootstrap import bootstrap_interval, resample
from .intervals import Interval, widened, wilson
from .samples import Floats, Units, Values, checked_values, cluster_numbers

__all__ = ["accuracy_interval", "macro_interval"]

_REPEATS: Final = 2_000


def accuracy_interval(correct: Values, units: Units) -> Interval:
    """Accuracy in percent with its 95 % interval.

    Wilson's where each unit was tested once, else a cluster bootstrap. Where all units are alike (all
    right, all wrong) the bootstrap has no width: then Wilson's with as many trials as there are units.
    A single unit gives 0 to 100.

    Args:
        correct: [N], right (1) or wrong (0).
        units: sampling units of the tests.

    Raises:
        ValueError: no test, or another number of units.
    """
    vector = checked_values(correct, "correct")
    if units.single and units.count == len(vector):
        return _percent(wilson(float(vector.mean()), len(vector)), units)
    return _percent(bootstrap_interval(vector, groups=units.names), units)


def macro_interval(correct: Values, labels: npt.ArrayLike, units: Units) -> Interval:
    """Macro accuracy (mean over the tested classes) in percent with its 95 % cluster bootstrap interval.

    Units are resampled without stratification; a class that a resample lacks is left out of its mean.

    Args:
        correct: [N], right (1) or wrong (0).
        labels: [N], class numbers.
        units: sampling units of the tests.

    Raises:
        ValueError: no test, or another number of units.
    """
    vector = checked_values(correct, "correct")
    unit = cluster_numbers(units.names, len(vector))
    _, classes = np.unique(np.asarray(labels), return_inverse=True)
    hits = np.zeros((unit.max() + 1, classes.max() + 1), np.float32)
    tests = np.zeros_like(hits)
    np.add.at(hits, (unit, classes), vector)
    np.add.at(tests, (unit, classes), 1)
    value = float((hits.sum(axis=0, dtype=np.float64) / tests.sum(axis=0, dtype=np.float64)).mean())
    replicates = resample(np.concatenate([hits, tests], axis=1), _mean_recall, _REPEATS, seed=0)
    low, high = np.percentile(replicates, [2.5, 97.5])
    return _percent(widened(min(value, 1.0), float(low), float(high)), units)


def _mean_recall(sums: npt.NDArray[np.float32]) -> Floats:
    """Mean over the classes that a resample contains, from the hits and tests of each class, [R, 2 C]."""
    hits, tests = np.split(sums, 2, axis=1)
    recall = np.where(tests > 0, hits / np.maximum(tests, 1), np.nan)
    means: Floats = np.nanmean(recall, axis=1)
    return means


def _percent(interval: Interval, units: Units) -> Interval:
    """The interval in percent; one without width is replaced, see :func:`accuracy_interval`."""
    if units.count == 1:
        interval = Interval(interval.value, 0.0, 1.0)
    elif interval.low == interval.high:
        interval = wilson(interval.value, units.count)
    return Interval(*(100 * float(number) for number in interval))
