"""Low-rank bilinear pooling: products of the two streams' projections."""

from __future__ import annotations

from torch import Tensor, nn

from .base import Head, HeadSize

__all__ = ["LowRankBilinear"]


class LowRankBilinear(Head):
    """P((U m + 1) * (V a + 1)), after Kim et al. 2017 (arXiv 1610.04325), equation 5.

    The ones keep a linear term of each stream: without them a feature near zero would
    cancel the other stream.
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
        motion_feature, appearance_feature = self.standardized(motion, appearance)
        product = self.motion(motion_feature) * self.appearance(appearance_feature)
        scores: Tensor = self.classifier(self.norm(product))
        return scores
