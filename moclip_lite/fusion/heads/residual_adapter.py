"""Zero-shot logits with a learned correction, for few clips per class."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..tables import pool_tokens
from .base import Head, HeadSize

__all__ = ["ResidualAdapter"]


class ResidualAdapter(Head):
    """Cosine classifier that starts from the class names' text embeddings.

    Both streams add a residual to the frames' mean feature (CLIP-Adapter, Gao et al. 2021); its last
    layer starts at zero, so that before training the scores are zero-shot CLIP's. Without text
    embeddings the classifier starts at random.
    """

    from_text = True
    SCALE: Final = 100.0  # CLIP's logit scale at the end of its training (Radford et al. 2021)

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        width = max(1, size.hidden // 2)
        self.adapter = nn.Sequential(
            nn.Linear(size.motion + size.appearance, width),
            nn.ReLU(),
            nn.Dropout(size.dropout),
            nn.Linear(width, size.appearance),
        )
        for parameter in self.adapter[-1].parameters():
            nn.init.zeros_(parameter)
        self.classes = nn.Parameter(functional.normalize(torch.randn(size.classes, size.appearance), dim=-1))
        self.log_scale = nn.Parameter(torch.tensor([math.log(self.SCALE)]))

    def start_from_text(self, classes: Tensor) -> None:
        with torch.no_grad():
            self.classes.copy_(classes)

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        residual = self.adapter(torch.cat(self.standardized(motion, appearance), dim=-1))
        image = functional.normalize(pool_tokens(appearance), dim=-1)
        adapted = functional.normalize(image + residual, dim=-1)
        scale = self.log_scale.exp().clamp(max=self.SCALE)
        return scale * adapted @ functional.normalize(self.classes, dim=-1).T
