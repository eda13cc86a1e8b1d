"""Modulation: motion scales and shifts the appearance feature."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from .base import Head, HeadSize

__all__ = ["FiLM"]


class FiLM(Head):
    """Feature-wise linear modulation (Perez et al. 2018) of appearance by motion.

    Starts as a classifier of appearance alone: the modulation's last layer is zero.
    """

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        narrow = max(1, size.hidden // 4)
        self.appearance = nn.Linear(size.appearance, size.hidden)
        self.motion = nn.Sequential(
            nn.Linear(size.motion, narrow), nn.ReLU(), nn.Linear(narrow, 2 * size.hidden)
        )
        for parameter in self.motion[-1].parameters():
            nn.init.zeros_(parameter)
        self.classifier = nn.Sequential(nn.Dropout(size.dropout), nn.Linear(size.hidden, size.classes))

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        motion_feature, appearance_feature = self.standardized(motion, appearance)
        hidden = functional.relu(self.appearance(appearance_feature))
        scale, shift = self.motion(motion_feature).chunk(2, dim=-1)
        scores: Tensor = self.classifier(functional.relu((1 + scale) * hidden + shift))
        return scores
