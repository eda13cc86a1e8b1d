"""Controls: the same classifier on one stream, which a fusion must exceed."""

from __future__ import annotations

from torch import Tensor

from ..tables import pool_tokens
from .base import Head, HeadSize, as_tokens, mlp

__all__ = ["AppearanceOneFrame", "AppearanceOnly", "MotionOnly", "matched_width"]


def matched_width(dim: int, other_dim: int, size: HeadSize) -> int:
    """Hidden width that gives a head on `dim` features the parameters of the paper's fused head."""
    return max(1, round(size.hidden * (dim + other_dim + size.classes + 1) / (dim + size.classes + 1)))


class AppearanceOnly(Head):
    """Ignores motion; the hidden layer is widened to the fused head's size."""

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        width = matched_width(size.appearance, size.motion, size)
        self.net = mlp(size.appearance, width, size.classes, size.dropout)

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        scores: Tensor = self.net(self.appearance_norm(pool_tokens(appearance)))
        return scores


class AppearanceOneFrame(AppearanceOnly):
    """Sees the middle frame only: the control for the use of several frames."""

    tokens = True

    def standardized_rows(self, motion: Tensor, appearance: Tensor) -> tuple[Tensor, Tensor]:
        return super().standardized_rows(motion, _middle(appearance))

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        return super().forward(motion, _middle(appearance))


def _middle(appearance: Tensor) -> Tensor:
    frames = as_tokens(appearance)
    return frames[:, frames.shape[1] // 2]


class MotionOnly(Head):
    """Ignores appearance; the hidden layer is widened to the fused head's size."""

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        width = matched_width(size.motion, size.appearance, size)
        self.net = mlp(size.motion, width, size.classes, size.dropout)

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        scores: Tensor = self.net(self.motion_norm(pool_tokens(motion)))
        return scores
