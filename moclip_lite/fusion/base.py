"""What every head has: its interface and the standardisation of its inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Head", "Standardize", "mlp", "pool_frames"]


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
    """(motion [B, Dm], appearance [B, N, Da] or [B, Da]) -> scores [B, C]."""

    def __init__(
        self, motion_dim: int, appearance_dim: int, num_classes: int, *, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.motion_norm = Standardize(motion_dim)
        self.appearance_norm = Standardize(appearance_dim)

    def fit_statistics(self, motion: Tensor, appearance: Tensor) -> None:
        """Fit the standardisation to the training features."""
        self.motion_norm.fit(motion)
        self.appearance_norm.fit(pool_frames(appearance))

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} does not say how it joins the streams")


def pool_frames(appearance: Tensor) -> Tensor:
    """[B, N, D] -> [B, D], the mean over frames; [B, D] stays."""
    return appearance.mean(dim=1) if appearance.ndim == 3 else appearance


def mlp(before: int, hidden: int, after: int, dropout: float) -> nn.Sequential:
    """Linear, ReLU, Dropout, Linear: the paper's classifier."""
    return nn.Sequential(nn.Linear(before, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, after))
