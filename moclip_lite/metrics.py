"""Scores of a classifier: accuracy with its interval, per class, confusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import ScoreError

__all__ = ["confusion_matrix", "mean_scores", "score", "wilson"]

Scores = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def wilson(correct: int, total: int) -> tuple[float, float]:
    """95 % interval of an accuracy, in percent (Wilson 1927).

    Raises:
        ValueError: nothing was tested.
    """
    if total < 1:
        raise ValueError("an interval needs at least one test clip")
    from scipy.stats import binomtest  # a second to import

    interval = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    return 100 * float(interval.low), 100 * float(interval.high)


def confusion_matrix(scores: Scores, labels: Labels) -> npt.NDArray[np.int64]:
    """int64 [C, C]: rows are true classes, columns predicted ones."""
    classes = scores.shape[1]
    out = np.zeros((classes, classes), np.int64)
    np.add.at(out, (labels, scores.argmax(axis=1)), 1)
    return out


def score(scores: Scores, labels: Labels, names: Sequence[str]) -> dict[str, Any]:
    """Evaluate.

    Args:
        scores: [N, C], higher is likelier; of equal scores the first class counts.
        labels: [N].
        names: class names, [C].

    Returns:
        Percentages: ``top1``, ``top5`` (top C if there are fewer than 5 classes), ``macro`` (mean
        over classes that were tested), ``per_class`` (name -> accuracy, None if not tested),
        ``ci95`` of top1, and ``n``.

    Raises:
        ScoreError: nothing was tested, or a score is not finite.
    """
    if not len(labels):
        raise ScoreError("no test clip could be evaluated")
    if not np.isfinite(scores).all():
        raise ScoreError("a score is not a finite number; the training has diverged, try a lower lr")
    confusion = confusion_matrix(scores, labels)
    counts, correct = confusion.sum(axis=1), confusion.diagonal()
    per_class = {
        name: 100 * float(correct[i] / counts[i]) if counts[i] else None for i, name in enumerate(names)
    }
    tested = [value for value in per_class.values() if value is not None]
    order = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    low, high = wilson(int(correct.sum()), len(labels))
    return {
        "top1": 100 * float(correct.sum() / len(labels)),
        "top5": 100 * float((order == labels[:, None]).any(axis=1).mean()),
        "macro": float(np.mean(tested)),
        "ci95": [low, high],
        "n": len(labels),
        "per_class": per_class,
    }


def mean_scores(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Join the results of several folds: the mean over folds, the interval over all clips.

    ``folds_top1`` keeps each fold's accuracy in the order given, ``per_fold`` its other scores too.
    """
    total = sum(int(r["n"]) for r in results)
    correct = sum(round(r["top1"] * r["n"] / 100) for r in results)
    low, high = wilson(correct, total)
    names = results[0]["per_class"]
    per_class: dict[str, float | None] = {}
    for name in names:
        values = [r["per_class"][name] for r in results if r["per_class"].get(name) is not None]
        per_class[name] = float(np.mean(values)) if values else None
    return {
        **{key: float(np.mean([r[key] for r in results])) for key in ("top1", "top5", "macro")},
        "ci95": [low, high],
        "n": total,
        "per_class": per_class,
        "folds_top1": [r["top1"] for r in results],
        "per_fold": [{key: r[key] for key in ("top1", "top5", "macro", "n")} for r in results],
    }
