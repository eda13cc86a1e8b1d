"""What every head has: its interface and the standardisation of its inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

__all__ = ["Head", "HeadSize", "Standardize", "as_tokens", "mlp", "pool_tokens"]


@dataclass(frozen=True)
class HeadSize:
    """What a head is built for.

    Attributes:
        motion: length of a motion token.
        appearance: length of a frame's feature.
        classes: length of the scores.
        hidden: width of the hidden layer.
        dropout: before the classifier.
    """

    motion: int
    appearance: int
    classes: int
    hidden: int
    dropout: float


class Standardize(nn.Module):
    """Zero mean and unit variance by statistics of the training features; the identity until fitted.

    Streams differ in scale by orders of magnitude; without this the larger one drowns the other.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    def fit(self, features: Tensor) -> None:
        """Take the statistics of [N, dim]."""
        self.mean.copy_(features.mean(dim=0))
        spread = features.std(dim=0, unbiased=False)
        self.scale.copy_(1 / spread.clamp_min(1e-6 + 1e-3 * float(spread.max())))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) * self.scale


class Head(nn.Module):
    """(motion [B, T, Dm] or [B, Dm], appearance [B, N, Da] or [B, Da]) -> scores [B, C].

    In training a head may give the scores of several classifiers, [B, C, K]: each has its own loss.

    Attributes:
        tokens: whether the head looks at single frames and segments; if not, features may be
            averaged over them once and for all.
        from_text: whether :meth:`start_from_text` should be called before training.
    """

    tokens: ClassVar[bool] = False
    from_text: ClassVar[bool] = False

    def __init__(self, size: HeadSize) -> None:
        super().__init__()
        self.motion_norm = Standardize(size.motion)
        self.appearance_norm = Standardize(size.appearance)

    def fit_statistics(self, motion: Tensor, appearance: Tensor) -> None:
        """Fit the standardisation to the training features."""
        self.motion_norm.fit(pool_tokens(motion))
        self.appearance_norm.fit(pool_tokens(appearance))

    def start_from_text(self, classes: Tensor) -> None:
        """Take the class names' text embeddings [C, Da], L2-normalised; most heads have no use for them."""

    def calibrate(self, motion: Tensor, appearance: Tensor, labels: Tensor) -> None:
        """Fit what training clips can't tell on held-out ones, before each validation; most heads have no such part."""

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} does not say how it joins the streams")


def pool_tokens(features: Tensor) -> Tensor:
    """[B, N, D] -> [B, D], the mean over segments or frames; [B, D] stays."""
    return features.mean(dim=1) if features.ndim == 3 else features


def as_tokens(features: Tensor) -> Tensor:
    """[B, D] -> [B, 1, D]; [B, N, D] stays."""
    return features if features.ndim == 3 else features[:, None]


def mlp(before: int, hidden: int, after: int, dropout: float) -> nn.Sequential:
    """Linear, ReLU, Dropout, Linear: the paper's classifier."""
    return nn.Sequential(nn.Linear(before, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, after))
