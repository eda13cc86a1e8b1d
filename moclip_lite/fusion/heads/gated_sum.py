"""Gated sum: each hidden unit weighs the two streams, clip by clip."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .base import Head, HeadSize

__all__ = ["GatedSum"]


class GatedSum(Head):
    """The gated multimodal unit of Arevalo et al. 2017 (arXiv 1702.01992), equations 1 to 3."""

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        width = max(1, size.hidden // 2)  # the gate sees both streams: twice the weights per unit
        self.motion = nn.Linear(size.motion, width)
        self.appearance = nn.Linear(size.appearance, width)
        self.gate = nn.Linear(size.motion + size.appearance, width)
        self.classifier = nn.Sequential(nn.Dropout(size.dropout), nn.Linear(width, size.classes))

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        features = self.standardized(motion, appearance)
        gate = self.gate(torch.cat(features, dim=-1)).sigmoid()
        fused = gate * self.motion(features[0]).tanh() + (1 - gate) * self.appearance(features[1]).tanh()
        scores: Tensor = self.classifier(fused)
        return scores
