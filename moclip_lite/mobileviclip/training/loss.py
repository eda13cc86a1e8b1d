"""Symmetric InfoNCE (Oord et al. 2018; CLIP) over the clips of all processes."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from ...parallel.ddp import gather_all

__all__ = ["contrastive_loss"]


def contrastive_loss(video: Tensor, text: Tensor, temperature: Tensor, groups: Tensor) -> Tensor:
    """Mean of both directions' cross-entropies over the gathered batch.

    Pairs that share a group, such as equal captions or captions of one clip, are not negatives of each other:
    the target of a row is spread evenly over the pairs that share one of its groups. Without shared groups
    this is InfoNCE as published.

    Args:
        video, text: [B, D] of this process, of any length.
        temperature: scalar divisor of similarities.
        groups: int64 [B], or [B, K] for K independent groupings, such as by clip and by caption.
    """
    video = gather_all(functional.normalize(video.float(), dim=-1))
    text = gather_all(functional.normalize(text.float(), dim=-1))
    groups = gather_all(groups)
    logits = video @ text.T / temperature
    groups = groups.view(len(groups), -1)
    same = (groups[:, None] == groups[None, :]).any(dim=-1).float()
    target = same / same.sum(dim=1, keepdim=True)
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2
