"""Tables of cached features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["FeatureTable", "Split", "join_tables", "pool_tokens"]


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


@dataclass(frozen=True)
class Split:
    """Clips to train on, and clips that neither the head nor the motion network was trained on.

    The motion features of both are of one network. Those of another split may be of another network: its
    tokens are of another space, so that scores of several splits may be joined, but not their features.
    """

    train: FeatureTable
    held_out: FeatureTable


def join_tables(tables: Sequence[FeatureTable]) -> FeatureTable:
    """The clips of several tables, in their order."""
    return FeatureTable(
        torch.cat([table.motion for table in tables]),
        torch.cat([table.appearance for table in tables]),
        torch.cat([table.labels for table in tables]),
    )
