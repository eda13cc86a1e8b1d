"""Controls: the same classifier on one stream. A fusion that does not beat them adds nothing."""

from __future__ import annotations

from torch import Tensor

from .base import (
    Head,
    HeadSize,
    as_tokens,
    mlp,
    pool_tokens,
)

__all__ = ["AppearanceOneFrame", "AppearanceOnly", "MotionOnly"]


def _matched(own: int, other: int, classes: int, hidden: int) -> int:
    """Hidden width that gives one stream the parameters of the paper's fused head."""
    return max(1, round(hidden * (own + other + classes + 1) / (own + classes + 1)))


class AppearanceOnly(Head):
    """Ignores motion; the hidden layer is widened to the fused head's size."""

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        wide = _matched(size.appearance, size.motion, size.classes, size.hidden)
        self.net = mlp(size.appearance, wide, size.classes, size.dropout)

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        scores: Tensor = self.net(self.appearance_norm(pool_tokens(appearance)))
        return scores


class AppearanceOneFrame(AppearanceOnly):
    """Sees the middle frame alone: what a single image tells."""

    tokens = True

    def fit_statistics(self, motion: Tensor, appearance: Tensor) -> None:
        super().fit_statistics(motion, _middle(appearance))

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        return super().forward(motion, _middle(appearance))


def _middle(appearance: Tensor) -> Tensor:
    frames = as_tokens(appearance)
    return frames[:, frames.shape[1] // 2]


class MotionOnly(Head):
    """Ignores appearance; the hidden layer is widened to the fused head's size."""

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        wide = _matched(size.motion, size.appearance, size.classes, size.hidden)
        self.net = mlp(size.motion, wide, size.classes, size.dropout)

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        scores: Tensor = self.net(self.motion_norm(pool_tokens(motion)))
        return scores
