"""Percentile bootstrap over clips, and cluster bootstrap over groups of clips.

Efron (1979, doi:10.1214/aos/1176344552); clusters are resampled whole with all their tests (Davison and
Hinkley 1997, section 3.8). ``scipy.stats.bootstrap`` gives the same intervals but draws every clip of
every resample. Here a resample draws how often each *different* cluster occurs (a multinomial
distribution). Right and wrong clips are two kinds, so 13,320 clips take 8 ms instead of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .intervals import Interval, widened
from .samples import Floats, Values, checked_pair, checked_values, cluster_numbers

__all__ = ["REPEATS", "bootstrap_interval", "cluster_sums", "paired_bootstrap", "resample"]

REPEATS: Final = 10_000
_CHUNK: Final = 4_000_000  # numbers in memory at a time


def resample(
    clusters: npt.NDArray[Any], statistic: Callable[[npt.NDArray[Any]], Floats], repeats: int, seed: int
) -> Floats:
    """Bootstrap replicates of a statistic.

    Args:
        clusters: [G, K], a row of sums per cluster.
        statistic: takes the column sums of resamples [R, K], returns their estimates [R].
        repeats: number of resamples.
        seed: of the random draws.

    Returns:
        [repeats].
    """
    rows, counts = np.unique(clusters, axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    replicates = np.empty(repeats)
    step = max(1, _CHUNK // sum(rows.shape))
    for start in range(0, repeats, step):
        part = replicates[start : start + step]
        times = generator.multinomial(len(clusters), counts / len(clusters), size=len(part))
        part[:] = statistic(times.astype(clusters.dtype) @ rows)
    return replicates


def bootstrap_interval(
    values: Values, *, groups: Sequence[str] | None = None, repeats: int = REPEATS, seed: int = 0
) -> Interval:
    """Mean with its 95 % percentile bootstrap interval, in the unit of the values.

    Args:
        values: [N], one per test.
        groups: [N], the cluster of each test; None where tests are independent.
        repeats, seed: see :func:`resample`.

    Raises:
        ValueError: no value, one that is not finite, or another number of groups.
    """
    vector = checked_values(values, "values")
    replicates = resample(cluster_sums(vector, groups), lambda sums: sums[:, 0] / sums[:, 1], repeats, seed)
    low, high = np.percentile(replicates, [2.5, 97.5])
    return widened(float(vector.mean()), float(low), float(high))


def paired_bootstrap(
    a_correct: Values, b_correct: Values, groups: Sequence[str] | None = None, **options: int
) -> Interval:
    """Accuracy of A minus that of B on the same clips, in percentage points, with its 95 % interval.

    Args:
        a_correct, b_correct: [N], right (1) or wrong (0) per test; with several seeds the share of seeds
            that were right.
        groups: the cluster of each test. One group gives no estimate of the spread:
            its interval is -100 to 100.
        options: repeats and seed, see :func:`bootstrap_interval`.

    Raises:
        ValueError: different lengths, no clip, or values outside 0 to 1.
    """
    a, b = checked_pair(a_correct, b_correct)
    if groups is not None and len(groups) == len(a) and len(set(groups)) == 1:
        return Interval(100 * float((a - b).mean()), -100.0, 100.0)
    return bootstrap_interval(100 * (a - b), groups=groups, **options)


def cluster_sums(vector: Floats, groups: Sequence[str] | None) -> Floats:
    """Sum of the values and number of tests of each cluster, [G, 2]."""
    if groups is None:
        return np.stack([vector, np.ones_like(vector)], axis=1)
    numbers = cluster_numbers(groups, len(vector))
    return np.stack([np.bincount(numbers, weights=vector), np.bincount(numbers)], axis=1)
