"""Linear probe: multinomial logistic regression on both features, solved by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from .base import Head, HeadSize
from .linear import STRENGTHS, Array, Coefficients, fit_logistic, put_coefficients, require_classes

if TYPE_CHECKING:
    from ..tables import FeatureTable, Split

__all__ = ["STRENGTHS", "LinearProbe"]


class LinearProbe(Head):
    """Linear classifier on the standardised, concatenated features of both streams.

    The baseline that a learned fusion should beat. It has no hidden layer, and its optimum depends on no
    seed: ``fusion.hidden``, ``fusion.dropout`` and all of ``train_head`` are without effect.
    """

    closed_form = True

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        self.classifier = nn.Linear(size.motion + size.appearance, size.classes)
        self._strength = STRENGTHS[0]

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        scores: Tensor = self.classifier(torch.cat(self.standardized(motion, appearance), dim=-1))
        return scores

    def solve(self, splits: Sequence[Split]) -> None:
        """Fit the coefficients to the first split with each of :data:`STRENGTHS`.

        Those that are best on its held-out clips are kept.

        Raises:
            DataError: the training clips are of one class.
        """
        train, held_out = splits[0].train, splits[0].held_out
        require_classes(train.labels, "logistic_regression")
        features, labels = self._features(held_out), held_out.labels.numpy()
        candidates: list[tuple[float, float, Coefficients]] = []
        fits = fit_logistic(
            self._features(train), train.labels.numpy(), self._classes, STRENGTHS, self.balanced
        )
        for strength, coefficients in zip(STRENGTHS, fits, strict=True):
            truth = coefficients.log_probabilities(features)[np.arange(len(labels)), labels]
            candidates.append((float(-truth.mean()), strength, coefficients))
        _, self._strength, coefficients = min(candidates, key=lambda candidate: candidate[:2])
        put_coefficients(self.classifier, coefficients)

    def refit(self, table: FeatureTable) -> None:
        fits = fit_logistic(
            self._features(table), table.labels.numpy(), self._classes, [self._strength], self.balanced
        )
        put_coefficients(self.classifier, next(fits))

    @property
    def _classes(self) -> int:
        return self.classifier.out_features

    @torch.no_grad()
    def _features(self, table: FeatureTable) -> Array:
        return torch.cat(self.standardized(table.motion, table.appearance), dim=-1).double().numpy()
