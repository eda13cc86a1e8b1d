"""Late fusion of scores: one classifier per stream, averaged with a learned weight."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .base import Head, HeadSize, mlp, pool_tokens

__all__ = ["LateAverage"]


class LateAverage(Head):
    """w log p_motion + (1 - w) log p_appearance, with w learned.

    Two-stream networks average their scores with a fixed weight (Simonyan and Zisserman 2014). Log
    scores are averaged, not probabilities: a class that one stream rules out stays ruled out.
    """

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        self.motion = mlp(size.motion, size.hidden, size.classes, size.dropout)
        self.appearance = mlp(size.appearance, size.hidden, size.classes, size.dropout)
        self.balance = nn.Parameter(torch.zeros(1))  # of motion, before the sigmoid

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        share = self.balance.sigmoid()
        moving = self.motion(self.motion_norm(pool_tokens(motion))).log_softmax(dim=-1)
        seen = self.appearance(self.appearance_norm(pool_tokens(appearance))).log_softmax(dim=-1)
        scores: Tensor = share * moving + (1 - share) * seen
        return scores
