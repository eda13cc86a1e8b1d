"""The paper's late fusion: both features side by side into one hidden layer."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Head, mlp, pool_frames

__all__ = ["ConcatMLP"]


class ConcatMLP(Head):
    """Concatenation -> Linear -> ReLU -> Dropout -> Linear (arXiv 2509.17084)."""

    def __init__(
        self, motion_dim: int, appearance_dim: int, num_classes: int, *, hidden: int, dropout: float
    ) -> None:
        super().__init__(motion_dim, appearance_dim, num_classes, hidden=hidden, dropout=dropout)
        self.net = mlp(motion_dim + appearance_dim, hidden, num_classes, dropout)

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        joined = [self.motion_norm(motion), self.appearance_norm(pool_frames(appearance))]
        scores: Tensor = self.net(torch.cat(joined, dim=-1))
        return scores
