"""The paper's late fusion: both features concatenated into one hidden layer."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Head, HeadSize, mlp

__all__ = ["ConcatMLP"]


class ConcatMLP(Head):
    """Concatenation -> Linear -> ReLU -> Dropout -> Linear (arXiv 2509.17084)."""

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        self.net = mlp(size.motion + size.appearance, size.hidden, size.classes, size.dropout)

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        scores: Tensor = self.net(torch.cat(self.standardized(motion, appearance), dim=-1))
        return scores
