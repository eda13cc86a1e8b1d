"""What a difference between two results is worth: bootstrap, McNemar's test, Student's interval.

Clips of one group (a source video, a person) stand or fall together, so where groups are known they
are drawn whole, and so are all tests of one clip; treating 13,320 UCF101 clips as independent makes
intervals too narrow. Each interval holds its estimate: a bootstrap of a skewed ratio need not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "REPEATS",
    "Interval",
    "McNemar",
    "Units",
    "Verdict",
    "accuracy_interval",
    "bootstrap_interval",
    "holm",
    "macro_interval",
    "mcnemar",
    "mean_interval",
    "paired_bootstrap",
    "permutation_p",
    "units_of",
    "verdict",
    "wilson",
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


@dataclass(frozen=True)
class Units:
    """What is drawn at random, test by test: the group of a clip, or the clip.

    Attributes:
        names: [N], equal for tests that stand or fall together.
        kind: what they are.
    """

    names: list[str]
    kind: Literal["clips", "groups"]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(set(self.names))

    @property
    def single(self) -> bool:
        """Whether each was tested once, so that tests are independent."""
        return self.count == len(self.names)

    @property
    def words(self) -> str:
        """The kind of interval and what it is over, for people."""
        number = f"{self.count} {self.kind if self.count != 1 else self.kind[:-1]}"
        if self.single and self.count > 1:
            return f"Wilson over {number}"
        if self.count == 1:
            return f"none: {number} tells nothing of the spread"
        return f"cluster bootstrap over {number}"


def units_of(clips: Sequence[str], groups: Sequence[str | None]) -> Units:
    """The units of tests: groups where any are known, a clip without one being its own; else clips.

    Folds are no units: three folds that agree by chance would give an interval of next to no width.

    Args:
        clips: [N], the clip of each test; a clip may be tested in several folds.
        groups: [N], its group, None (or empty) where it has none.
    """
    if not any(groups):
        return Units(list(clips), "clips")
    pairs = zip(clips, groups, strict=True)
    return Units([f"g {group}" if group else f"c {clip}" for clip, group in pairs], "groups")


def wilson(share: float, total: float) -> Interval:
    """Wilson's 95 % interval (1927) of a share of `total` trials; all three from 0 to 1.

    Raises:
        ValueError: nothing was tried.
    """
    if total <= 0:
        raise ValueError("an interval needs at least one test clip")
    z = 1.959963984540054
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * np.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return _holding(share, max(0.0, float(middle - half)), min(1.0, float(middle + half)))


def accuracy_interval(correct: Values, units: Units) -> Interval:
    """Accuracy in percent with its 95 % interval.

    Wilson's where each test is of another unit, else a cluster bootstrap. Where all units are alike
    (all right, all wrong) the bootstrap has no width: then Wilson's of as many trials as there are units.
    One unit alone, tested more than once or not, gives 0 to 100.

    Args:
        correct: [N], right (1) or wrong (0).
        units: of the tests.

    Raises:
        ValueError: no test, or units of another number.
    """
    x = _checked(correct, "correct")
    share = float(x.mean())
    if len(units.names) != len(x):
        raise ValueError(f"{len(x)} values need as many groups, got {len(units.names)}")
    if units.count == 1:
        return Interval(100 * share, 0.0, 100.0)
    found = wilson(share, len(x)) if units.single else bootstrap_interval(x, groups=units.names)
    if found.low == found.high:
        found = wilson(share, units.count)
    return Interval(*(100 * float(value) for value in found))


def macro_interval(
    correct: Values, labels: npt.ArrayLike, units: Units, *, repeats: int = 2_000, seed: int = 0
) -> Interval:
    """Mean accuracy over the classes that were tested, in percent, with its 95 % interval.

    Units are drawn as they come (not class by class); a class that a draw misses is left out of it.

    Args:
        correct: [N], right (1) or wrong (0).
        labels: [N], class numbers.
        units: of the tests.
        repeats, seed: of the bootstrap.

    Raises:
        ValueError: no test, or units of another number.
    """
    x = _checked(correct, "correct")
    if len(units.names) != len(x):
        raise ValueError(f"{len(x)} values need as many groups, got {len(units.names)}")
    _, which = np.unique(np.asarray(units.names, object).astype(str), return_inverse=True)
    _, classes = np.unique(np.asarray(labels), return_inverse=True)
    table = np.zeros((2, which.max() + 1, classes.max() + 1), np.float32)
    np.add.at(table[0], (which, classes), x)
    np.add.at(table[1], (which, classes), 1)
    right, tested = table.sum(axis=1)
    value = float((right / tested).mean())
    if units.count == 1:
        return Interval(100 * value, 0.0, 100.0)
    kinds, counts = np.unique(np.concatenate(list(table), axis=1), axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    means = np.empty(repeats)
    step = max(1, _CHUNK // (len(kinds) + kinds.shape[1]))
    for start in range(0, repeats, step):
        part = means[start : start + step]
        times = generator.multinomial(units.count, counts / units.count, size=len(part))
        hits, sizes = np.split(times.astype(np.float32) @ kinds, 2, axis=1)
        part[:] = np.nanmean(np.where(sizes > 0, hits / np.maximum(sizes, 1), np.nan), axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    found = _holding(value, float(low), float(high))
    if found.low == found.high:
        found = wilson(min(max(value, 0.0), 1.0), units.count)
    return Interval(*(100 * part for part in found))


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
    return _holding(float(x.mean()), float(low), float(high))


def paired_bootstrap(
    a_correct: Values, b_correct: Values, *, groups: Sequence[str] | None = None, repeats: int = REPEATS,
    seed: int = 0, confidence: float = 0.95,
) -> Interval:  # fmt: skip
    """Accuracy of A less that of B on the same clips, in percentage points, with a bootstrap interval.

    Args:
        a_correct, b_correct: [N], right (1) or wrong (0) clip by clip; with several seeds the share of
            seeds that were right.
        groups, repeats, seed, confidence: see :func:`bootstrap_interval`. One group tells nothing of the
            spread: its interval is -100 to 100.

    Raises:
        ValueError: different lengths, no clip, or values outside 0 to 1.
    """
    a, b = _pair(a_correct, b_correct)
    if groups is not None and len(groups) == len(a) and len(set(groups)) == 1:
        return Interval(100 * float((a - b).mean()), -100.0, 100.0)
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


def _holding(value: float, low: float, high: float) -> Interval:
    """An interval that is widened where it does not hold its estimate."""
    return Interval(value, min(low, value), max(high, value))


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
