"""Symmetric InfoNCE (Oord et al. 2018; CLIP) over the clips of all processes."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from ..data_parallel import gather_all

__all__ = ["contrastive_loss"]


def contrastive_loss(video: Tensor, text: Tensor, temperature: Tensor, groups: Tensor) -> Tensor:
    """Mean of both directions' cross-entropies over the gathered batch.

    Pairs of one group (captions that say the same, as templates of one class do) are no negatives of
    each other: a row's target is spread evenly over its group. With a group for every pair it is
    InfoNCE as published.

    Args:
        video, text: [B, D] of this process, any length.
        temperature: a scalar that similarities are divided by.
        groups: int64 [B].
    """
    video = gather_all(functional.normalize(video.float(), dim=-1))
    text = gather_all(functional.normalize(text.float(), dim=-1))
    groups = gather_all(groups)
    logits = video @ text.T / temperature
    same = (groups[:, None] == groups[None, :]).float()
    target = same / same.sum(dim=1, keepdim=True)
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2
