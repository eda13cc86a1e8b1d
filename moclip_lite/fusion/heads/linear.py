"""Multinomial logistic regression by scikit-learn, as weights of a linear layer over all classes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...errors import DataError
from ...parallel.threads import product_threads

__all__ = ["STRENGTHS", "Coefficients", "fit_logistic", "put_coefficients", "require_classes"]

Array: TypeAlias = npt.NDArray[Any]

STRENGTHS: Final = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Values of scikit-learn's ``C``, the inverse of the L2 penalty."""

_MAX_ITERATIONS: Final = 1000
_TOLERANCE: Final = 1e-6  # of the gradient; the default stops early where the penalty is weak
_ABSENT: Final = -30.0  # score of a class without training clips, relative to the smallest intercept


class Coefficients(NamedTuple):
    """Weights [C, D] and intercepts [C] of all classes, absent ones included."""

    weight: Array
    bias: Array

    def log_probabilities(self, features: Array) -> Array:
        """Of standardised features [N, D]: float64 [N, C]."""
        from scipy.special import log_softmax

        return np.asarray(log_softmax(features @ self.weight.T + self.bias, axis=1))


def require_classes(labels: Tensor, head: str) -> None:
    """Refuse training clips of a single class.

    Raises:
        DataError: there is one class only.
    """
    if len(torch.unique(labels)) < 2:
        raise DataError(f"fusion.head={head} needs training clips of at least two classes")


def fit_logistic(
    features: Array, labels: Array, classes: int, strengths: Sequence[float], balanced: bool = False
) -> Iterator[Coefficients]:
    """Fit a logistic regression with each strength in turn, each starting from the one before.

    The weights of least penalty are combinations of the clips. With fewer clips than features they are found
    in the coordinates of the clips' span, which changes nothing but the time.

    Args:
        features: float64 [N, D], standardised.
        labels: int64 [N], at least two different ones.
        classes: C.
        strengths: values of ``C``.
        balanced: weigh classes by the inverse of their frequency.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    weights = "balanced" if balanced else None
    model = LogisticRegression(
        max_iter=_MAX_ITERATIONS, tol=_TOLERANCE, warm_start=True, class_weight=weights
    )
    axes = np.linalg.svd(features, full_matrices=False)[2] if len(features) < features.shape[1] else None
    coordinates = features if axes is None else features @ axes.T
    for strength in strengths:
        with warnings.catch_warnings(), product_threads(coordinates.size * classes):
            # a weak penalty is cut off, and judged as it is
            warnings.simplefilter("ignore", ConvergenceWarning)
            # few clips a class
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            model.set_params(C=strength).fit(coordinates, labels)
        weight = model.coef_ if axes is None else model.coef_ @ axes
        yield _of_all_classes(model.classes_, weight, model.intercept_, classes)


def put_coefficients(layer: nn.Linear, coefficients: Coefficients) -> None:
    """Copy coefficients into a linear layer."""
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(coefficients.weight))
        layer.bias.copy_(torch.from_numpy(coefficients.bias))


def _of_all_classes(present: Array, coef: Array, intercept: Array, classes: int) -> Coefficients:
    """scikit-learn's coefficients, [present, D] or a single row for two classes, for all classes."""
    if len(present) == 2:
        coef, intercept = np.concatenate([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
    weight = np.zeros((classes, coef.shape[1]))
    bias = np.full(classes, float(intercept.min()) + _ABSENT)
    weight[present], bias[present] = coef, intercept
    return Coefficients(weight, bias)
