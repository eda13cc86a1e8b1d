"""Low-rank bilinear pooling: products of the two streams' projections."""

from __future__ import annotations

from torch import Tensor, nn

from .base import Head, HeadSize, pool_tokens

__all__ = ["LowRankBilinear"]


class LowRankBilinear(Head):
    """P((U m + 1) * (V a + 1)), after Kim et al. 2017 (arXiv 1610.04325), equation 5.

    The ones keep each stream's own share: without them a quiet stream would silence the other.
    """

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        self.motion = nn.Linear(size.motion, size.hidden)
        self.appearance = nn.Linear(size.appearance, size.hidden)
        for projection in (self.motion, self.appearance):
            nn.init.ones_(projection.bias)
        self.norm = nn.LayerNorm(size.hidden)
        self.classifier = nn.Sequential(nn.Dropout(size.dropout), nn.Linear(size.hidden, size.classes))

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        moving = self.motion(self.motion_norm(pool_tokens(motion)))
        seen = self.appearance(self.appearance_norm(pool_tokens(appearance)))
        scores: Tensor = self.classifier(self.norm(moving * seen))
        return scores
