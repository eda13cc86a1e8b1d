"""Significance tests of paired results, and the verdict that a table gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from .bootstrap import REPEATS, cluster_sums
from .intervals import Interval
from .samples import Values, checked_pair

__all__ = ["McNemar", "Verdict", "holm", "mcnemar", "permutation_p", "verdict"]

Verdict = Literal["better", "worse", "no difference shown"]
_BATCH = 4_000_000  # numbers in memory at a time


class McNemar(NamedTuple):
    """Discordant clips (only the first, only the second right) and the two-sided p."""

    only_a: int
    only_b: int
    p: float


def mcnemar(a_correct: Values, b_correct: Values) -> McNemar:
    """McNemar's exact test: a two-sided binomial test on the discordant clips.

    McNemar (1947), doi:10.1007/BF02295996.

    Args:
        a_correct, b_correct: [N], right (1) or wrong (0) per clip.

    Raises:
        ValueError: different lengths, no clip, or values other than 0 and 1.
    """
    from scipy import stats  # takes a second to import

    a, b = checked_pair(a_correct, b_correct)
    if not np.isin(np.concatenate([a, b]), (0, 1)).all():
        raise ValueError("McNemar's test needs right or wrong (1 or 0), not shares; test each seed alone")
    only_a, only_b = int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())
    p = float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return McNemar(only_a, only_b, p)


def permutation_p(a_correct: Values, b_correct: Values, groups: Sequence[str]) -> float:
    """Two-sided p of a paired permutation test: A and B are exchanged at random, group by group.

    Unlike McNemar's test it takes shares of seeds and keeps groups whole. With few groups all permutations
    are computed; else p is never 0 (Phipson and Smyth 2010, doi:10.2202/1544-6115.1585).

    Args:
        a_correct, b_correct, groups: see :func:`~.bootstrap.paired_bootstrap`.

    Raises:
        ValueError: different lengths, no clip, or values outside 0 to 1.
    """
    from scipy import stats

    a, b = checked_pair(a_correct, b_correct)
    sums = cluster_sums(a - b, groups)[:, 0]
    if len(sums) < 2:
        return 1.0
    test = stats.permutation_test(
        (sums,),
        lambda differences, axis: differences.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=REPEATS,
        batch=max(1, _BATCH // len(sums)),
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for multiple tests by Holm's step-down method (Holm 1979, jstor:4615733)."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(np.minimum(p[order] * np.arange(len(p), 0, -1), 1))
    return [float(value) for value in adjusted]


def verdict(difference: Interval, p: float) -> Verdict:
    """What may be concluded about A against B: the interval must exclude 0 and p must be below 0.05.

    Both are required: a bootstrap of very few clips underestimates the spread, and McNemar's test
    ignores groups.
    """
    if p < 0.05 and difference.low > 0:
        return "better"
    if p < 0.05 and difference.high < 0:
        return "worse"
    return "no difference shown"
