"""Batches of clip indices, and validation figures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["accuracy_and_loss", "batches"]


def batches(order: npt.NDArray[np.int64], size: int, min_size: int = 2) -> Iterator[npt.NDArray[np.int64]]:
    """Cut into batches; a last one below `min_size` is left out: BatchNorm can't train on one clip."""
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        if len(batch) >= min_size or len(order) == 1:
            yield batch


def accuracy_and_loss(scores: npt.NDArray[np.float32], targets: npt.NDArray[np.int64]) -> tuple[float, float]:
    """(top-1 in percent, cross-entropy) of class probabilities [N, C]."""
    probabilities = scores[np.arange(len(targets)), targets].astype(np.float64)
    accuracy = 100 * float((scores.argmax(axis=1) == targets).mean())
    return accuracy, float(-np.log(np.maximum(probabilities, 1e-12)).mean())
