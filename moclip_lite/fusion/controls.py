"""Controls: the same classifier on one stream. A fusion that does not beat them adds nothing."""

from __future__ import annotations

from torch import Tensor

from .base import Head, mlp, pool_frames

__all__ = ["AppearanceOnly", "MotionOnly"]


def _matched(own: int, other: int, classes: int, hidden: int) -> int:
    """Hidden width that gives one stream the parameters of the fused head."""
    return max(1, round(hidden * (own + other + classes + 1) / (own + classes + 1)))


class AppearanceOnly(Head):
    """Ignores motion; the hidden layer is widened to the fused head's size."""

    def __init__(
        self, motion_dim: int, appearance_dim: int, num_classes: int, *, hidden: int, dropout: float
    ) -> None:
        super().__init__(motion_dim, appearance_dim, num_classes, hidden=hidden, dropout=dropout)
        wide = _matched(appearance_dim, motion_dim, num_classes, hidden)
        self.net = mlp(appearance_dim, wide, num_classes, dropout)

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        scores: Tensor = self.net(self.appearance_norm(pool_frames(appearance)))
        return scores


class MotionOnly(Head):
    """Ignores appearance; the hidden layer is widened to the fused head's size."""

    def __init__(
        self, motion_dim: int, appearance_dim: int, num_classes: int, *, hidden: int, dropout: float
    ) -> None:
        super().__init__(motion_dim, appearance_dim, num_classes, hidden=hidden, dropout=dropout)
        wide = _matched(motion_dim, appearance_dim, num_classes, hidden)
        self.net = mlp(motion_dim, wide, num_classes, dropout)

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        scores: Tensor = self.net(self.motion_norm(motion))
        return scores
