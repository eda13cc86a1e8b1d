"""Late fusion of linear classifiers: strongly regularised, weighted and calibrated on held-out clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from .base import Head, HeadSize
from .late_average import pool_weights
from .linear import STRENGTHS, Array, fit_logistic, put_coefficients, require_classes

if TYPE_CHECKING:
    from .tables import FeatureTable, Split

__all__ = ["LinearPool"]

_STREAMS: Final = ("motion", "appearance")


class LinearPool(Head):
    """Scores w_m log p_motion + w_a log p_appearance of two logistic regressions: a logarithmic opinion pool.

    Few clips determine little: a linear classifier on each stream with the L2 penalty that is best on held-out
    clips, and one weight per stream, whose sum is the pool's inverse temperature (see
    :func:`~moclip_lite.fusion.late_average.pool_weights`). All is chosen on clips that neither the motion network
    nor the classifiers were trained on, so that a stream counts as much as it is right there: one that knows
    nothing gets no weight, and the fusion falls back to the other. It has no hidden layer, and its optimum depends
    on no seed: ``fusion.hidden``, ``fusion.dropout`` and the schedule in ``train_head`` are without effect.
    """

    closed_form = True
    several_splits = True
    weights: Tensor
    strengths: Tensor

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        self.motion = nn.Linear(size.motion, size.classes)
        self.appearance = nn.Linear(size.appearance, size.classes)
        self.register_buffer("weights", torch.full((2,), 0.5))  # of motion, of appearance
        self.register_buffer("strengths", torch.full((2,), STRENGTHS[0], dtype=torch.float64))

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        return self.stream_scores(motion, appearance) @ self.weights

    def stream_scores(self, motion: Tensor, appearance: Tensor) -> Tensor:
        """Log-probabilities of each stream, [B, C, 2]."""
        motion_feature, appearance_feature = self.standardized(motion, appearance)
        logits = [self.motion(motion_feature), self.appearance(appearance_feature)]
        return torch.stack(logits, dim=-1).log_softmax(dim=1)

    def solve(self, splits: Sequence[Split]) -> None:
        """Choose penalties and weights on the held-out clips of all splits, and fit to the first split.

        Raises:
            DataError: the training clips are of one class.
        """
        usable = [split for split in splits if len(torch.unique(split.train.labels)) > 1]
        require_classes(splits[0].train.labels, "linear_pool")
        labels = torch.cat([split.held_out.labels for split in usable]).numpy()
        chosen = []
        for number, stream in enumerate(_STREAMS):
            scores = np.concatenate([self._path(stream, split) for split in usable], axis=1)
            losses = -scores[:, np.arange(len(labels)), labels].mean(axis=1)
            best = int(losses.argmin())
            self.strengths[number] = STRENGTHS[best]
            chosen.append(scores[best])
        self.weights.copy_(torch.from_numpy(pool_weights(np.stack(chosen, axis=-1), labels)))
        self.refit(splits[0].train)

    def choices(self) -> dict[str, Any]:
        values = zip(_STREAMS, self.weights.tolist(), self.strengths.tolist(), strict=True)
        return {"pool": {stream: {"weight": weight, "C": strength} for stream, weight, strength in values}}

    def refit(self, table: FeatureTable) -> None:
        self.restandardize(table)
        for stream, strength in zip(_STREAMS, self.strengths.tolist(), strict=True):
            layer = getattr(self, stream)
            fits = fit_logistic(
                self._features(stream, table), table.labels.numpy(), layer.out_features, [strength]
            )
            put_coefficients(layer, next(fits))

    def _path(self, stream: str, split: Split) -> Array:
        """Log-probabilities of a split's held-out clips with each strength, [strengths, N, C]."""
        self.restandardize(split.train)
        held_out, classes = self._features(stream, split.held_out), getattr(self, stream).out_features
        train, labels = self._features(stream, split.train), split.train.labels.numpy()
        fits = fit_logistic(train, labels, classes, STRENGTHS)
        return np.stack([coefficients.log_probabilities(held_out) for coefficients in fits])

    @torch.no_grad()
    def _features(self, stream: str, table: FeatureTable) -> Array:
        features = self.standardized(table.motion, table.appearance)[_STREAMS.index(stream)]
        return features.double().numpy()
