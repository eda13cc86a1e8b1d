"""What a difference between two results is worth: bootstrap, McNemar's test, Student's interval.

Clips of one group (a source video, a person) stand or fall together, so where groups are known they
are drawn whole; treating 13,320 UCF101 clips as independent makes intervals too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "REPEATS",
    "Interval",
    "McNemar",
    "Verdict",
    "bootstrap_interval",
    "holm",
    "mcnemar",
    "mean_interval",
    "paired_bootstrap",
    "permutation_p",
    "verdict",
]

REPEATS: Final = 10_000
_CHUNK: Final = 4_000_000  # numbers drawn at a time

Values = npt.ArrayLike
Verdict = Literal["better", "worse", "no difference shown"]


class Interval(NamedTuple):
    """An estimate and its interval; low and high are NaN where one value tells nothing of the spread."""

    value: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of the width."""
        return (self.high - self.low) / 2


class McNemar(NamedTuple):
    """Clips that only the first, and only the second got right, and the two-sided p."""

    only_a: int
    only_b: int
    p: float


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The mean of repetitions (seeds, splits) and Student's t interval, in the unit of the values.

    Raises:
        ValueError: no value, or one that is not finite.
    """
    from scipy import stats  # a second to import

    x = _checked(values, "values")
    mean = float(x.mean())
    if len(x) < 2:
        return Interval(mean, float("nan"), float("nan"))
    half = float(stats.t.ppf((1 + confidence) / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return Interval(mean, mean - half, mean + half)


def bootstrap_interval(
    values: Values, *, groups: Sequence[str] | None = None, repeats: int = REPEATS, seed: int = 0,
    confidence: float = 0.95,
) -> Interval:  # fmt: skip
    """Percentile bootstrap of the mean (Efron 1979), in the unit of the values.

    Args:
        values: [N], one per clip.
        groups: [N], names; groups are drawn whole, each as often as any other.
        repeats: bootstrap samples.
        seed: of the draws.
        confidence: of the interval.

    Raises:
        ValueError: no value, one that is not finite, or groups of another number.
    """
    x = _checked(values, "values")
    sums, sizes = _clusters(x, groups)
    # A sample of clips is a draw of how often each kind of clip comes; with right and wrong there are
    # two kinds, so that thousands of clips cost no more than ten.
    kinds, counts = np.unique(np.stack([sums, sizes]), axis=1, return_counts=True)
    drawn = len(sums)
    generator = np.random.default_rng(seed)
    means = np.empty(repeats)
    step = max(1, _CHUNK // len(counts))
    for start in range(0, repeats, step):
        part = means[start : start + step]
        times = generator.multinomial(drawn, counts / drawn, size=len(part))
        part[:] = (times @ kinds[0]) / (times @ kinds[1])
    tail = 50 * (1 - confidence)
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(float(x.mean()), float(low), float(high))


def paired_bootstrap(
    a_correct: Values, b_correct: Values, *, groups: Sequence[str] | None = None, repeats: int = REPEATS,
    seed: int = 0, confidence: float = 0.95,
) -> Interval:  # fmt: skip
    """Accuracy of A less that of B on the same clips, in percentage points, with a bootstrap interval.

    Args:
        a_correct, b_correct: [N], right (1) or wrong (0) clip by clip; with several seeds the share of
            seeds that were right.
        groups, repeats, seed, confidence: see :func:`bootstrap_interval`.

    Raises:
        ValueError: different lengths, no clip, or values outside 0 to 1.
    """
    a, b = _pair(a_correct, b_correct)
    return bootstrap_interval(100 * (a - b), groups=groups, repeats=repeats, seed=seed, confidence=confidence)


def mcnemar(a_correct: Values, b_correct: Values) -> McNemar:
    """McNemar's exact test: of the clips that one alone got right, is the share of A a half?

    Args:
        a_correct, b_correct: [N], right or wrong, clip by clip.

    Raises:
        ValueError: different lengths, no clip, or values other than 0 and 1.
    """
    from scipy import stats

    a, b = _pair(a_correct, b_correct)
    if not np.isin(np.concatenate([a, b]), (0, 1)).all():
        raise ValueError("McNemar's test takes right or wrong, no shares; test the seeds one by one")
    only_a, only_b = int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())
    p = float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return McNemar(only_a, only_b, p)


def permutation_p(
    a_correct: Values, b_correct: Values, *, groups: Sequence[str] | None = None, repeats: int = REPEATS,
    seed: int = 0,
) -> float:  # fmt: skip
    """Two-sided p of a paired permutation test: A and B are exchanged group by group at random.

    Unlike McNemar's test it takes shares of seeds, and keeps groups of clips together. Few groups
    are permuted in all ways (Phipson and Smyth 2010 for the others: p is never 0).

    Args:
        a_correct, b_correct, groups: see :func:`paired_bootstrap`.
        repeats: permutations at most.
        seed: of the draws.

    Raises:
        ValueError: different lengths, no clip, or values outside 0 to 1.
    """
    from scipy import stats

    a, b = _pair(a_correct, b_correct)
    sums, _ = _clusters(a - b, groups)
    if len(sums) < 2:
        return 1.0
    found = stats.permutation_test(
        (sums,),
        lambda x, axis: x.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=repeats,
        batch=max(1, _CHUNK // len(sums)),
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values of several tests, raised so that 0.05 is the chance of any false one (Holm 1979)."""
    order = np.argsort(np.asarray(p_values, np.float64), kind="stable")
    out, top = [0.0] * len(order), 0.0
    for rank, position in enumerate(order):
        top = max(top, min(1.0, (len(order) - rank) * float(p_values[position])))
        out[position] = top
    return out


def verdict(difference: Interval, p: float) -> Verdict:
    """What may be said of A against B: the interval must exclude 0 and p must be below 0.05.

    Both, because a bootstrap of a handful of clips knows nothing but those, and the test knows no
    groups.
    """
    if p < 0.05 and difference.low > 0:
        return "better"
    if p < 0.05 and difference.high < 0:
        return "worse"
    return "no difference shown"


def _checked(values: Values, name: str) -> npt.NDArray[np.float64]:
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or not len(x):
        raise ValueError(f"{name} must be a list of at least one number, got shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"{name} hold a number that is not finite")
    return x


def _pair(a_correct: Values, b_correct: Values) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    a, b = _checked(a_correct, "a_correct"), _checked(b_correct, "b_correct")
    if len(a) != len(b):
        raise ValueError(f"results of the same clips are compared, got {len(a)} and {len(b)}")
    if min(a.min(), b.min()) < 0 or max(a.max(), b.max()) > 1:
        raise ValueError("right and wrong are numbers from 0 to 1")
    return a, b


def _clusters(
    x: npt.NDArray[np.float64], groups: Sequence[str] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sum of the values and number of clips of each group."""
    if groups is None:
        return x, np.ones_like(x)
    if len(groups) != len(x):
        raise ValueError(f"{len(x)} values need as many groups, got {len(groups)}")
    _, which = np.unique(np.asarray(groups, object).astype(str), return_inverse=True)
    sums = np.bincount(which, weights=x).astype(np.float64)
    return sums, np.bincount(which).astype(np.float64)
