"""Intervals with a closed form: Wilson's for a proportion, Student's t for a mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .samples import checked_values

__all__ = ["Interval", "mean_interval", "widened", "wilson"]

_Z95 = 1.959963984540054
_SAME = 1e-12  # relative: sums in another order


class Interval(NamedTuple):
    """An estimate and its interval; low and high are NaN where the values give no spread."""

    value: float
    low: float
    high: float


def widened(value: float, low: float, high: float) -> Interval:
    """An interval extended to contain its estimate."""
    return Interval(value, min(low, value), max(high, value))


def wilson(share: float, total: float) -> Interval:
    """Wilson score interval, 95 %, of a proportion (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    The same as ``scipy.stats.binomtest(k, n).proportion_ci(method="wilson")``, which takes whole counts
    only: a mean over classes is not a whole count.

    Args:
        share: the proportion, 0 to 1.
        total: number of trials.

    Raises:
        ValueError: no trial.
    """
    if total <= 0:
        raise ValueError("an interval needs at least one test clip")
    z2 = _Z95 * _Z95
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z95 / (1 + z2 / total) * np.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    return widened(share, max(0.0, float(middle - half)), min(1.0, float(middle + half)))


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean of repetitions (seeds, splits) with its Student's t interval, in the unit of the values.

    A single value gives no interval, and neither do values that agree exactly: few repetitions may do so by
    chance, and an interval without width would say that the mean is certain.

    Raises:
        ValueError: no value, or one that is not finite.
    """
    from scipy import stats  # takes a second to import

    vector = checked_values(values, "values")
    mean = float(vector.mean())
    if len(vector) < 2 or np.ptp(vector) <= _SAME * np.abs(vector).max():
        return Interval(mean, float("nan"), float("nan"))
    half = stats.t.ppf((1 + confidence) / 2, len(vector) - 1) * stats.sem(vector)
    return Interval(mean, mean - float(half), mean + float(half))
