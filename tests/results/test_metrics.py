"""Scores agree with scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from moclip_lite.ablate.tables import _by_fold
from moclip_lite.results.metrics import confusion_matrix, plain, score, score_folds


@pytest.mark.parametrize(("clips", "classes"), [(7, 2), (60, 4), (500, 12)])
def test_scores_are_those_of_scikit_learn(clips: int, classes: int) -> None:
    rng = np.random.default_rng(clips)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, clips - classes)])
    scores = rng.dirichlet(np.ones(classes), clips).astype(np.float32)
    scores += np.eye(classes, dtype=np.float32)[labels] * (rng.random((clips, 1)) < 0.5)
    names = [f"class{i}" for i in range(classes)]
    predicted = scores.argmax(axis=1)
    result = score(scores, labels, names)
    assert result.top1 == pytest.approx(100 * metrics.accuracy_score(labels, predicted))
    assert result.macro == pytest.approx(100 * metrics.balanced_accuracy_score(labels, predicted))
    top5 = metrics.top_k_accuracy_score(labels, scores, k=5, labels=range(classes)) if classes > 5 else 1.0
    assert result.top5 == pytest.approx(100 * top5)
    recalls = metrics.recall_score(labels, predicted, average=None)
    assert list(result.per_class.values()) == pytest.approx(list(100 * recalls))
    np.testing.assert_array_equal(
        confusion_matrix(scores, labels), metrics.confusion_matrix(labels, predicted)
    )


def test_scores() -> None:
    scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1]], np.float32)
    result = score(scores, np.array([0, 1, 1, 0]), ["a", "b", "c"])
    assert result.top1 == 75.0
    assert result.top5 == 100.0
    assert result.per_class == {"a": 100.0, "b": 50.0, "c": None}
    assert result.macro == 75.0
    assert result.n == 4
    with pytest.raises(ValueError, match="finite"):
        score(np.full((1, 3), np.nan, np.float32), np.array([0]), ["a", "b", "c"])
    with pytest.raises(ValueError, match="no test clip"):
        score(np.zeros((0, 3), np.float32), np.zeros(0, np.int64), ["a", "b", "c"])


def test_a_stream_of_some_folds_names_them() -> None:
    """Where the clips of a fold hold no motion, the run's stream of motion is of the others."""
    rng = np.random.default_rng(0)
    folds = [(rng.random((8, 2)).astype(np.float32), np.arange(8) % 2) for _ in range(2)]
    joined = score_folds(folds, "ab", fold_names=["p1", "p3"])
    assert [part.fold for part in joined.per_fold] == ["p1", "p3"]
    found = _by_fold(["p1", "p2", "p3"], plain(joined))
    assert [name for name, _ in found] == ["p1", "p3"]
    assert [name for name, _ in _by_fold(["p1", "p2"], plain(score_folds(folds[:1], "ab")))] == [""]
    earlier = {"per_fold": [{"top1": 1.0}, {"top1": 2.0}]}
    assert [name for name, _ in _by_fold(["p1", "p2"], earlier)] == ["p1", "p2"]
