"""Linear probe: multinomial logistic regression on both features, solved by scikit-learn."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import DataError
from .base import Head, HeadSize

if TYPE_CHECKING:
    from .tables import FeatureTable

__all__ = ["STRENGTHS", "LinearProbe"]

Array: TypeAlias = npt.NDArray[Any]

STRENGTHS: Final = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Values of scikit-learn's ``C``, the inverse of the L2 penalty; the one of least validation cross-entropy is kept."""

_MAX_ITERATIONS: Final = 1000
_TOLERANCE: Final = 1e-6  # of the gradient; the default stops early where the penalty is weak
_ABSENT: Final = -30.0  # score of a class without training clips, relative to the smallest intercept


class LinearProbe(Head):
    """Linear classifier on the standardised, concatenated features of both streams.

    The baseline that a learned fusion should beat. It has no hidden layer, and its optimum depends on no seed:
    ``fusion.hidden``, ``fusion.dropout`` and all of ``train_head`` are without effect.
    """

    closed_form = True

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        self.classifier = nn.Linear(size.motion + size.appearance, size.classes)

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        scores: Tensor = self.classifier(torch.cat(self.standardized(motion, appearance), dim=-1))
        return scores

    @torch.no_grad()
    def solve(self, train: FeatureTable, val: FeatureTable) -> None:
        """Fit the coefficients to `train` with each of :data:`STRENGTHS`; keep those that are best on `val`.

        Raises:
            DataError: the training clips are of one class.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        if len(np.unique(train.labels.numpy())) < 2:
            raise DataError("fusion.head=logistic_regression needs training clips of at least two classes")
        features = torch.cat(self.standardized(train.motion, train.appearance), dim=-1).double().numpy()
        model = LogisticRegression(max_iter=_MAX_ITERATIONS, tol=_TOLERANCE, warm_start=True)
        candidates = []
        for strength in STRENGTHS:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore", ConvergenceWarning
                )  # a weak penalty is cut off, and judged as it is
                model.set_params(C=strength).fit(features, train.labels.numpy())
            self._take(model.classes_, model.coef_, model.intercept_)
            loss = float(functional.cross_entropy(self(val.motion, val.appearance), val.labels))
            candidates.append((loss, strength, model.coef_, model.intercept_))
        _, _, coefficients, intercepts = min(candidates, key=lambda candidate: candidate[:2])
        self._take(model.classes_, coefficients, intercepts)

    def _take(self, classes: Array, coefficients: Array, intercepts: Array) -> None:
        """Copy scikit-learn's coefficients, [classes, features] or a single row for two classes."""
        if len(classes) == 2:
            coefficients = np.concatenate([-coefficients, coefficients]) / 2
            intercepts = np.concatenate([-intercepts, intercepts]) / 2
        self.classifier.weight.zero_()
        self.classifier.bias.fill_(float(intercepts.min()) + _ABSENT)
        rows = torch.from_numpy(classes)
        self.classifier.weight[rows] = torch.from_numpy(coefficients).to(self.classifier.weight)
        self.classifier.bias[rows] = torch.from_numpy(intercepts).to(self.classifier.bias)
