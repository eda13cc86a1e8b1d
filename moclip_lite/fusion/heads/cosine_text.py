"""Cosine classifier that starts from class text, with a prior strength chosen on held-out clips."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ...parallel.threads import product_threads
from .base import HeadSize
from .linear import Array
from .linear_pool import MiddleFrame
from .text import TEXT_SCALE, TextPool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..tables import FeatureTable, Split

__all__ = ["CosineText", "CosineTextAppearance", "CosineTextOneFrame"]

_PULLS: Final = (1e3, 1e2, 10.0, 1.0, 1e-1, 1e-2, 1e-3)
_MAX_ITERATIONS: Final = 200


class _Directions(NamedTuple):
    """Directions of the classes [C, D] and the logarithm of their scale."""

    classes: Array
    log_scale: float

    def logits(self, features: Array) -> Array:
        """Of unit features [N, D]: float64 [N, C]."""
        lengths = np.linalg.norm(self.classes, axis=1, keepdims=True)
        return np.asarray(math.exp(self.log_scale) * features @ (self.classes / lengths).T)


class CosineText(TextPool):
    """Logistic regression on motion, and on frames scale x cos(frame, class), pooled.

    The classes' directions minimise the mean cross-entropy of the training clips + pull x the mean squared
    distance from their text embeddings: a normal prior around zero-shot. The pull is the best of seven on
    held-out clips: the strongest equals zero-shot with a fitted scale, the weakest nearly ignores the text.
    The scale is learned, at most CLIP's 100.
    """

    streams: ClassVar[tuple[str, ...]] = ("motion", "cosine")
    expert = "cosine"
    pull: Tensor

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        self.classes = nn.Parameter(self.text.clone())
        self.log_scale = nn.Parameter(torch.tensor([math.log(TEXT_SCALE)]))
        self.register_buffer("pull", torch.tensor([_PULLS[0]], dtype=torch.float64))

    def start_from_text(self, classes: Tensor) -> None:
        super().start_from_text(classes)
        with torch.no_grad():
            self.classes.copy_(self.text)

    def expert_logits(self, features: Tensor) -> Tensor:
        return self.log_scale.exp() * features @ functional.normalize(self.classes, dim=-1).T

    def expert_path(self, split: Split) -> Array:
        from scipy.special import log_softmax

        held_out = self.compared_array(split.held_out)
        fits = self._fits(split.train, _PULLS)
        return np.stack([log_softmax(directions.logits(held_out), axis=1) for directions in fits])

    def choose_expert(self, best: int) -> None:
        self.pull.fill_(_PULLS[best])

    def chosen_expert(self) -> dict[str, float]:
        return {"pull": float(self.pull), "scale": float(self.log_scale.detach().exp())}

    def fit_expert(self, table: FeatureTable) -> None:
        *_, directions = self._fits(table, [pull for pull in _PULLS if pull >= float(self.pull)])
        with torch.no_grad():
            self.classes.copy_(torch.from_numpy(directions.classes))
            self.log_scale.fill_(directions.log_scale)

    def _fits(self, table: FeatureTable, pulls: Sequence[float]) -> Iterator[_Directions]:
        """Directions for each pull, from strong to weak, each starting from the one before."""
        features, labels = self.compared_array(table), table.labels.numpy()
        counts = np.bincount(labels)[labels] if self.balanced else np.ones(len(labels))
        shares = (1 / counts) / (1 / counts).sum()
        text = self.text.double().numpy()
        directions = _Directions(text, math.log(TEXT_SCALE))
        for pull in pulls:
            with product_threads(features.size * len(text)):
                directions = _fit(features, labels, shares, text, pull, directions)
            yield directions


def _fit(
    features: Array, labels: Array, shares: Array, text: Array, pull: float, start: _Directions
) -> _Directions:
    """Minimise the cross-entropy, weighted by `shares`, and the pull; features and text have length 1."""
    from scipy.optimize import minimize

    rows = np.arange(len(labels))

    def loss(values: Array) -> tuple[float, Array]:
        classes, log_scale = values[:-1].reshape(text.shape), values[-1]
        lengths = np.linalg.norm(classes, axis=1, keepdims=True)
        directions, scale = classes / lengths, math.exp(log_scale)
        cosines = features @ directions.T
        logits = scale * cosines
        logits -= logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits)
        totals = exponentials.sum(axis=1, keepdims=True)
        value = shares @ (np.log(totals[:, 0]) - logits[rows, labels])
        slope = exponentials / totals
        slope[rows, labels] -= 1
        slope *= shares[:, None]
        along = scale * slope.T @ features
        along -= (along * directions).sum(axis=1, keepdims=True) * directions  # the length changes no cosine
        away = classes - text
        value += pull * (away**2).sum() / len(text)
        gradient = along / lengths + 2 * pull * away / len(text)
        return float(value), np.append(gradient.ravel(), scale * (slope * cosines).sum())

    bounds = [(None, None)] * text.size + [(0.0, math.log(TEXT_SCALE))]
    result = minimize(
        loss,
        np.append(start.classes.ravel(), start.log_scale),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": _MAX_ITERATIONS},
    )
    return _Directions(result.x[:-1].reshape(text.shape), float(result.x[-1]))


class CosineTextAppearance(CosineText):
    """:class:`CosineText` without motion."""

    streams: ClassVar[tuple[str, ...]] = ("cosine",)


class CosineTextOneFrame(MiddleFrame, CosineTextAppearance):
    """:class:`CosineTextAppearance` on the middle frame."""
