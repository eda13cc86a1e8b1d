"""Late fusion of scores: one classifier per stream, weighed by how each does on held-out clips."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .base import (
    Head,
    HeadSize,
    mlp,
    pool_tokens,
)

__all__ = ["LateAverage", "pool_weights"]

_PRIOR: Final = 0.5  # the plain average, and how far from it a weight is thought to be
_LEAST: Final = 1e-3  # of a weight: two useless streams still have an order of classes


class LateAverage(Head):
    """Scores w_m log p_motion + w_a log p_appearance: a logarithmic opinion pool.

    Two-stream networks average their scores with a fixed weight (Simonyan and Zisserman 2014). Log
    scores are added, not probabilities: a class that one stream rules out stays ruled out.

    Both classifiers fit their training clips nearly perfectly, so that these can't tell which one to
    trust. Each is trained on its own loss, to be good alone, and the weights are fitted on scores of
    clips that neither has seen (stacked generalisation, Wolpert 1992): see :func:`pool_weights`.
    """

    weights: Tensor

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        self.motion = mlp(size.motion, size.hidden, size.classes, size.dropout)
        self.appearance = mlp(size.appearance, size.hidden, size.classes, size.dropout)
        self.register_buffer("weights", torch.full((2,), _PRIOR))  # of motion, of appearance

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        """Scores [B, C]; in training those of each stream, [B, C, 2]."""
        each = self.each(motion, appearance)
        return each if self.training else each @ self.weights

    def each(self, motion: Tensor, appearance: Tensor) -> Tensor:
        """Log-probabilities of each stream, [B, C, 2]."""
        moving = self.motion(self.motion_norm(pool_tokens(motion)))
        seen = self.appearance(self.appearance_norm(pool_tokens(appearance)))
        return torch.stack([moving, seen], dim=-1).log_softmax(dim=1)

    def calibrate(self, motion: Tensor, appearance: Tensor, labels: Tensor) -> None:
        with torch.no_grad():
            each = self.each(motion.to(self.weights.device), appearance.to(self.weights.device))
            fitted = pool_weights(each.double().cpu().numpy(), labels.cpu().numpy())
            self.weights.copy_(torch.from_numpy(fitted))


def pool_weights(scores: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Weights of streams in a logarithmic opinion pool, by their scores on clips they were not trained on.

    The cross-entropy of softmax(scores @ weights) is convex in the weights, whose sum also sets how
    sure the pool is (temperature; Platt 1999, Guo et al. 2017). A normal prior around the plain average
    keeps few clips from deciding too much: ten clips shift the weights, a hundred set them. No stream gets a
    negative weight.

    Args:
        scores: log-probabilities [N, C, streams].
        labels: int64 [N].

    Returns:
        [streams].
    """
    from scipy.optimize import minimize  # a second to import, and not for testing

    truth = scores[np.arange(len(labels)), labels]

    def loss(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        pooled = scores @ weights
        top = pooled.max(axis=1, keepdims=True)
        shares = np.exp(pooled - top)
        total = shares.sum(axis=1, keepdims=True)
        expected = np.einsum("nc,ncs->ns", shares / total, scores)
        away = (weights - _PRIOR) / _PRIOR
        value = (np.log(total) + top).sum() - (truth @ weights).sum() + 0.5 * (away**2).sum()
        return float(value), (expected - truth).sum(axis=0) + away / _PRIOR

    start = np.full(scores.shape[2], _PRIOR)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(_LEAST, None)] * len(start))
    return np.asarray(found.x, np.float64)
