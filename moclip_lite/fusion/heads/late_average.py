"""Late fusion of scores: a classifier per stream, weighted by held-out performance."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...parallel.threads import product_threads
from .base import Head, HeadSize, mlp

__all__ = ["LateAverage", "pool_weights"]

_PRIOR_DEVIATION: Final = 0.5  # of the weights' normal prior, whose mean is the plain average
_MIN_WEIGHT: Final = 1e-3  # above 0, so that two useless streams still rank the classes


class LateAverage(Head):
    """Scores w_m log p_motion + w_a log p_appearance: a logarithmic opinion pool.

    Two-stream networks average their scores with a fixed weight (Simonyan and Zisserman 2014). Log
    scores are added, not probabilities: a class that one stream rules out stays ruled out.

    Both classifiers fit their training clips nearly perfectly, so these clips don't show which one is
    better. Each is trained on its own loss, and the weights are fitted on scores of clips that neither
    has seen (stacked generalisation, Wolpert 1992): see :func:`pool_weights`.
    """

    weights: Tensor

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        self.motion = mlp(size.motion, size.hidden, size.classes, size.dropout)
        self.appearance = mlp(size.appearance, size.hidden, size.classes, size.dropout)
        self.register_buffer("weights", torch.full((2,), 0.5))  # of motion, of appearance

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        """Scores [B, C]; in training those of each stream, [B, C, 2]."""
        scores = self.stream_scores(motion, appearance)
        return scores if self.training else scores @ self.weights

    def stream_scores(self, motion: Tensor, appearance: Tensor) -> Tensor:
        """Log-probabilities of each stream, [B, C, 2]."""
        motion_feature, appearance_feature = self.standardized(motion, appearance)
        logits = [self.motion(motion_feature), self.appearance(appearance_feature)]
        return torch.stack(logits, dim=-1).log_softmax(dim=1)

    def calibrate(self, motion: Tensor, appearance: Tensor, labels: Tensor) -> None:
        with torch.no_grad():
            scores = self.stream_scores(motion.to(self.weights.device), appearance.to(self.weights.device))
            weights = pool_weights(scores.double().cpu().numpy(), labels.cpu().numpy())
            self.weights.copy_(torch.from_numpy(weights))

    def take_calibration(self, other: Head) -> None:
        assert isinstance(other, LateAverage)
        self.weights.copy_(other.weights)


def pool_weights(scores: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Fit the weights of streams in a logarithmic opinion pool to held-out clips.

    The cross-entropy of softmax(scores @ weights) is convex in the weights, whose sum is also the
    inverse temperature of the pool (Platt 1999, Guo et al. 2017). A normal prior around the plain average
    limits the effect of few clips: ten shift the weights, a hundred determine them. No weight is negative.

    Args:
        scores: log-probabilities [N, C, streams].
        labels: int64 [N].

    Returns:
        [streams].
    """
    from scipy.optimize import minimize  # a second to import, and not needed in testing

    truth = scores[np.arange(len(labels)), labels]
    prior = 1 / scores.shape[2]

    def loss(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        pooled = scores @ weights
        largest = pooled.max(axis=1, keepdims=True)
        exponentials = np.exp(pooled - largest)
        total = exponentials.sum(axis=1, keepdims=True)
        expected = np.einsum("nc,ncs->ns", exponentials / total, scores)
        deviation = (weights - prior) / _PRIOR_DEVIATION
        value = (np.log(total) + largest).sum() - (truth @ weights).sum() + 0.5 * (deviation**2).sum()
        return float(value), (expected - truth).sum(axis=0) + deviation / _PRIOR_DEVIATION

    start = np.full(scores.shape[2], prior)
    bounds = [(_MIN_WEIGHT, None)] * len(start)
    with product_threads(scores.size):
        optimum = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(optimum.x, np.float64)
