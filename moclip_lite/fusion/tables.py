"""Tables of cached features."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["FeatureTable", "pool_tokens"]


def pool_tokens(features: Tensor) -> Tensor:
    """[B, N, D] -> [B, D], the mean over segments or frames; [B, D] stays."""
    return features.mean(dim=1) if features.ndim == 3 else features


@dataclass(frozen=True)
class FeatureTable:
    """Cached features of some clips.

    Attributes:
        motion: float32 [N, segments, Dm] or [N, Dm]; rows of clips without motion hold the training mean.
        appearance: float32 [N, frames, Da] or [N, Da].
        labels: int64 [N].
    """

    motion: Tensor
    appearance: Tensor
    labels: Tensor

    def pooled(self) -> FeatureTable:
        """The table averaged over segments and frames."""
        return FeatureTable(pool_tokens(self.motion), pool_tokens(self.appearance), self.labels)
