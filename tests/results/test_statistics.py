"""Scores against scikit-learn; intervals and tests against scipy, known cases, and simulated noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, recall_score, top_k_accuracy_score
from sklearn.metrics import confusion_matrix as sklearn_confusion

from moclip_lite.results.metrics import confusion_matrix, score, score_folds
from moclip_lite.results.statistics import (
    Interval,
    bootstrap_interval,
    holm,
    joined_units,
    mcnemar,
    mean_interval,
    paired_bootstrap,
    units_of,
    verdict,
    wilson,
)


def pair(seed: int, clips: int = 600, accuracy: float = 0.8, gain: float = 0.0) -> tuple[np.ndarray, ...]:
    """Two results on the same clips: hard clips are hard for both; the first is `gain` more accurate."""
    rng = np.random.default_rng(seed)
    hardness = rng.beta(4 * accuracy, 4 * (1 - accuracy), clips)
    return rng.random(clips) < np.clip(hardness + gain, 0, 1), rng.random(clips) < hardness


@pytest.mark.parametrize("classes", [3, 12])
def test_scores_agree_with_scikit_learn(classes: int) -> None:
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, 300)
    scores = rng.random((300, classes)).astype(np.float32)
    scores[np.arange(300), labels] += rng.random(300) < 0.6
    names = [f"c{i}" for i in range(classes)]
    predicted = scores.argmax(axis=1)
    ours = score(scores, labels, names)
    assert ours.top1 == pytest.approx(100 * np.mean(predicted == labels))
    assert ours.macro == pytest.approx(100 * balanced_accuracy_score(labels, predicted), abs=1e-4)
    if classes > 5:
        assert ours.top5 == pytest.approx(100 * top_k_accuracy_score(labels, scores, k=5))
    recalls = 100 * recall_score(labels, predicted, average=None)
    assert list(ours.per_class.values()) == pytest.approx(list(recalls))
    np.testing.assert_array_equal(confusion_matrix(scores, labels), sklearn_confusion(labels, predicted))


@pytest.mark.parametrize(("hits", "total"), [(0, 7), (5, 9), (97, 100), (13, 13)])
def test_wilson_agrees_with_scipy(hits: int, total: int) -> None:
    theirs = stats.binomtest(hits, total).proportion_ci(method="wilson")
    assert wilson(hits / total, total)[1:] == pytest.approx((theirs.low, theirs.high))


def test_mean_interval_agrees_with_scipy() -> None:
    values = [88.1, 90.3, 86.9, 89.5]
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    found = mean_interval(values)
    assert found == pytest.approx((np.mean(values), low, high))
    # Two values one apart: t(0.975, 1) = 12.7062, standard error 0.5.
    _, low, high = mean_interval([1.0, 2.0])
    assert high - low == pytest.approx(12.7062, abs=1e-4)


def test_mean_of_one_value_has_no_interval() -> None:
    found = mean_interval([88.0])
    assert found.value == 88.0
    assert np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize("kind", ["right or wrong", "numbers"])
def test_bootstrap_agrees_with_scipy(kind: str) -> None:
    rng = np.random.default_rng(3)
    values = rng.random(250) < 0.8 if kind == "right or wrong" else rng.gamma(2.0, 3.0, 250)
    values = values.astype(float)
    ours = bootstrap_interval(values, repeats=20_000)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", random_state=1
    ).confidence_interval
    spread = theirs.high - theirs.low
    assert ours.value == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.05 * spread)
    assert ours.high == pytest.approx(theirs.high, abs=0.05 * spread)


@pytest.mark.slow
def test_paired_bootstrap_agrees_with_scipy() -> None:
    a, b = pair(5, clips=400, gain=0.05)

    def difference(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return 100 * (x.mean(axis=axis) - y.mean(axis=axis))

    theirs = stats.bootstrap(
        (a.astype(float), b.astype(float)),
        difference,
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        method="percentile",
        random_state=1,
    ).confidence_interval
    ours = paired_bootstrap(a, b, repeats=20_000, seed=2)
    assert ours.value == pytest.approx(100 * (a.mean() - b.mean()))
    assert ours[1:] == pytest.approx((theirs.low, theirs.high), abs=0.4)
    assert paired_bootstrap(a, b, seed=2) == paired_bootstrap(a, b, seed=2)
    mirrored = paired_bootstrap(b, a, repeats=20_000, seed=2)
    assert mirrored.value == pytest.approx(-ours.value)


def test_groups_are_resampled_whole() -> None:
    """Ten groups of copies give the interval of ten clips, which scipy computes."""
    rng = np.random.default_rng(8)
    ten = rng.normal(size=10)
    found = bootstrap_interval(np.repeat(ten, 20), groups=[f"g{i}" for i in range(10) for _ in range(20)])
    theirs = stats.bootstrap((ten,), np.mean, n_resamples=10_000, method="percentile", random_state=1)
    assert found[1:] == pytest.approx(theirs.confidence_interval, abs=0.1)
    alone = bootstrap_interval(np.repeat(ten, 20))
    assert alone.high - alone.low < (found.high - found.low) / 3


def test_groups_of_unequal_size_weigh_by_their_clips() -> None:
    values = [1.0] * 9 + [0.0]
    found = bootstrap_interval(values, groups=["a"] * 9 + ["b"], repeats=2_000)
    assert found == pytest.approx((0.9, 0.0, 1.0))  # a alone, b alone and both are drawn


def test_mcnemar_agrees_with_scipy_and_by_hand() -> None:
    a = np.array([1] * 9 + [0] * 1 + [1] * 20)
    b = np.array([0] * 9 + [1] * 1 + [1] * 20)
    found = mcnemar(a, b)
    assert found[:2] == (9, 1)
    assert found.p == pytest.approx(2 * (1 + 10) / 2**10)  # two-sided binomial tail by hand
    assert found.p == pytest.approx(stats.binomtest(9, 10, 0.5).pvalue)
    assert mcnemar(a, a) == (0, 0, 1.0)


def test_holm_adjusts_by_hand() -> None:
    # Steps down: 4 x 0.01, 3 x 0.015, 2 x 0.02 (raised to the one before), 1 x 0.5.
    assert holm([0.02, 0.01, 0.5, 0.015]) == pytest.approx([0.045, 0.04, 0.5, 0.045])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def verdict_of(a: np.ndarray, b: np.ndarray) -> str:
    return verdict(paired_bootstrap(a, b, repeats=2_000), mcnemar(a, b).p)


@pytest.mark.slow
def test_noise_is_rarely_called_a_difference() -> None:
    answers = [verdict_of(*pair(seed)) for seed in range(300)]
    wrong = sum(answer != "no difference shown" for answer in answers)
    # At a true rate of 5 % more than 26 of 300 has a chance below 0.5 %.
    assert wrong <= 26
    # Among eight comparisons of noise one is more often below 0.05; Holm's method corrects for that.
    families = [[mcnemar(*pair(1000 + 8 * family + i)).p for i in range(8)] for family in range(100)]
    assert sum(min(holm(p_values)) < 0.05 for p_values in families) <= 12


def test_a_true_gain_is_called_better() -> None:
    answers = [verdict_of(*pair(seed, clips=1500, accuracy=0.7, gain=0.08)) for seed in range(40)]
    assert answers.count("better") >= 36
    assert "worse" not in answers
    a, b = pair(1, clips=1500, accuracy=0.7, gain=0.08)
    assert verdict_of(b, a) == "worse"


def test_three_clips_show_no_difference() -> None:
    """Three wins of three: the bootstrap interval has no width, so that the verdict needs p as well."""
    a, b = np.ones(3), np.zeros(3)
    assert paired_bootstrap(a, b) == (100.0, 100.0, 100.0)
    assert verdict_of(a, b) == "no difference shown"


def test_shares_of_seeds_can_be_compared() -> None:
    a, b = np.array([1.0, 2 / 3, 1.0, 0.0]), np.array([1 / 3, 2 / 3, 1.0, 0.0])
    assert paired_bootstrap(a, b).value == pytest.approx(100 / 6)
    with pytest.raises(ValueError, match="right or wrong"):
        mcnemar(a, b)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mean_interval([]), "at least one"),
        (lambda: mean_interval([1.0, float("nan")]), "finite"),
        (lambda: bootstrap_interval([]), "at least one"),
        (lambda: bootstrap_interval([1.0, 2.0], groups=["a"]), "as many groups"),
        (lambda: paired_bootstrap([1, 0], [1]), "same clips"),
        (lambda: paired_bootstrap([1, 2], [1, 0]), "0 to 1"),
        (lambda: mcnemar([True], [True, False]), "same clips"),
    ],
)
def test_bad_values_are_refused(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()  # type: ignore[operator]


def test_interval_is_a_tuple() -> None:
    value, low, high = Interval(1.0, 0.0, 2.0)
    assert (value, low, high) == (1.0, 0.0, 2.0)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans(), st.sampled_from(["", "p", "q", "r"])),
        min_size=1,
        max_size=40,
    )
)
def test_every_estimate_lies_in_its_interval(rows: list[tuple[int, int, bool, str]]) -> None:
    """Any table: one group, all right, all wrong, one class, clips with and without groups."""
    labels = np.array([label for label, *_ in rows], np.int64)
    scores = np.eye(4, dtype=np.float32)[[predicted for _, predicted, *_ in rows]]
    names = [f"c{i // 2}" for i in range(len(rows))]
    units = units_of(names, [group for *_, group in rows])
    for found in (score(scores, labels, "abcd"), score(scores, labels, "abcd", units)):
        assert 0 <= found.ci95[0] <= found.top1 <= found.ci95[1] <= 100
        assert 0 <= found.macro_ci95[0] <= found.macro <= found.macro_ci95[1] <= 100
        assert found.ci95[0] < found.ci95[1]  # few clips never give certainty
    a, b = scores.argmax(axis=1) == labels, np.array([other for *_, other, _ in rows])
    points = paired_bootstrap(a, b, groups=units.names, repeats=500)
    assert -100 <= points.low <= points.value <= points.high <= 100


def test_groups_of_two_results_are_joined() -> None:
    clips = ["a", "b", "c", "d", "e"]
    same = joined_units(clips, ["1", "1", "2", "2", None], ["2", "2", "1", "1", None])
    assert (same.count, same.kind, same.contradict) == (3, "groups", False)
    assert same.names[0] == same.names[1] != same.names[2] == same.names[3] != same.names[4]
    other = joined_units(clips, ["1", "1", "2", "2", "3"], ["x", "y", "y", "z", "w"])
    assert (other.count, other.contradict) == (2, True)
    assert other.names == joined_units(clips, ["x", "y", "y", "z", "w"], ["1", "1", "2", "2", "3"]).names
    groups = ["p", "p", None, "q", "q"]
    for sides in ((groups, groups), (groups, [None] * 5), ([None] * 5, groups)):
        assert joined_units(clips, *sides) == units_of(clips, groups)


@pytest.mark.parametrize("values", [[50 / 1.7, 50 / 1.7], [0.1 + 0.2, 0.3, 0.3], [0.0, 0.0]])
def test_values_that_agree_give_no_interval(values: list[float]) -> None:
    found = mean_interval(values)
    assert found.value == pytest.approx(values[0])
    assert np.isnan([found.low, found.high]).all()


def test_the_mean_over_classes_has_full_precision() -> None:
    labels = np.repeat([0, 1, 2], [3, 7, 1])
    scores = np.eye(3, dtype=np.float32)[[0, 0, 1, *[1] * 5, 0, 2, 2]]
    assert score(scores, labels, "abc").macro == pytest.approx(100 * (2 / 3 + 5 / 7 + 1) / 3, abs=1e-12)


def test_folds_are_pooled_and_groups_stay_whole() -> None:
    """Folds of 90 and 10: accuracy is over 100 tests; five groups give a wider interval than 100 clips."""
    labels = np.zeros(100, np.int64)
    scores = np.eye(2, dtype=np.float32)[[0] * 70 + [1] * 30]
    units = units_of([str(i) for i in range(100)], [f"g{i // 20}" for i in range(100)])
    found = score_folds([(scores[:90], labels[:90]), (scores[90:], labels[90:])], "ab", units)
    assert (found.top1, found.n) == (70.0, 100)
    assert list(found.folds_top1) == [pytest.approx(700 / 9), 0.0]
    assert found.ci95_over == "cluster bootstrap over 5 groups"
    alone = score(scores, labels, "ab")
    assert alone.ci95_over == "Wilson over 100 clips"
    assert found.ci95[1] - found.ci95[0] > 1.5 * (alone.ci95[1] - alone.ci95[0])


def test_wilson_interval_of_a_textbook_case() -> None:
    assert wilson(0.8, 10) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 5).low == pytest.approx(0, abs=1e-9)
