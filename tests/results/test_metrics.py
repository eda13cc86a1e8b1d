"""Scores agree with scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from moclip_lite.results.metrics import confusion_matrix, score


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
