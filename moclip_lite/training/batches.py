"""Batches of clips by index, and validation figures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["batches", "judge"]


def batches(order: npt.NDArray[np.int64], size: int, least: int = 2) -> Iterator[npt.NDArray[np.int64]]:
    """Cut into batches; a last one below `least` is left out, BatchNorm can't train on one clip."""
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        if len(chosen) >= least or len(order) == 1:
            yield chosen


def judge(scores: npt.NDArray[np.float32], targets: npt.NDArray[np.int64]) -> tuple[float, float]:
    """(top-1 in percent, cross-entropy) of class probabilities."""
    of_target = scores[np.arange(len(targets)), targets].astype(np.float64)
    accuracy = 100 * float((scores.argmax(axis=1) == targets).mean())
    return accuracy, float(-np.log(np.maximum(of_target, 1e-12)).mean())
