"""Scores of a classifier: accuracy with its interval, per class, confusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ScoreError
from .statistics import Units, accuracy_interval, macro_interval

__all__ = ["confusion_matrix", "score", "score_folds"]

Scores = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def confusion_matrix(scores: Scores, labels: Labels) -> npt.NDArray[np.int64]:
    """int64 [C, C]: rows are true classes, columns predicted ones."""
    classes = scores.shape[1]
    out = np.zeros((classes, classes), np.int64)
    np.add.at(out, (labels, scores.argmax(axis=1)), 1)
    return out


def score(
    scores: Scores, labels: Labels, names: Sequence[str], units: Units | None = None
) -> dict[str, Any]:  # fmt: skip
    """Evaluate.

    Args:
        scores: [N, C], higher is likelier; of equal scores the first class counts.
        labels: [N].
        names: class names, [C].
        units: what stands or falls together; every test for itself by default.

    Returns:
        Percentages: ``top1``, ``top5`` (top C if there are fewer than 5 classes), ``macro`` (mean
        over classes that were tested), ``per_class`` (name -> accuracy, None if not tested),
        ``ci95`` of top1 and ``macro_ci95`` of macro, ``majority`` (of always answering the class with
        most tests); ``n`` tests, and ``ci95_over``, the kind of interval and what it is over.

    Raises:
        ScoreError: nothing was tested, or a score is not finite.
    """
    if not len(labels):
        raise ScoreError("no test clip could be evaluated")
    if not np.isfinite(scores).all():
        raise ScoreError("a score is not a finite number; the training has diverged, try a lower lr")
    if units is None:
        units = Units([str(i) for i in range(len(labels))], "clips")
    right = scores.argmax(axis=1) == labels
    counts = np.bincount(labels, minlength=len(names))
    hits = np.bincount(labels[right], minlength=len(names))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    top1, macro = accuracy_interval(right, units), macro_interval(right, labels, units)
    return {
        "top1": top1.value,
        "top5": 100 * float((order == labels[:, None]).any(axis=1).mean()),
        "macro": macro.value,
        "ci95": [top1.low, top1.high],
        "macro_ci95": [macro.low, macro.high],
        "ci95_over": units.words,
        "majority": 100 * float(counts.max() / len(labels)),
        "n": len(labels),
        "per_class": {
            name: 100 * float(hits[i] / counts[i]) if counts[i] else None for i, name in enumerate(names)
        },
    }


def score_folds(
    folds: Sequence[tuple[Scores, Labels]], names: Sequence[str], units: Units | None = None
) -> dict[str, Any]:
    """Evaluate the tests of several folds as one table: every test counts alike, whatever its fold's size.

    Args:
        folds: scores and labels of each fold.
        names: class names.
        units: of the tests of all folds, in their order.

    Returns:
        As :func:`score`; of several folds ``folds_top1`` keeps each one's accuracy in the order given,
        ``per_fold`` its other scores too.
    """
    scores = np.concatenate([part for part, _ in folds])
    labels = np.concatenate([part for _, part in folds])
    whole = score(scores, labels, names, units)
    if len(folds) == 1:
        return whole
    keys = ("top1", "top5", "macro", "n")
    each = [{key: found[key] for key in keys} for found in (score(s, y, names) for s, y in folds)]
    return whole | {"folds_top1": [row["top1"] for row in each], "per_fold": each}
