"""Symmetric InfoNCE (Oord et al. 2018; CLIP) over the clips of all processes."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional

__all__ = ["contrastive_loss", "gather_all"]


def gather_all(local: Tensor) -> Tensor:
    """[B, ...] of this process -> [P B, ...] of all, in the order of ranks; gradients go back to their process.

    Every process computes the same loss from it, so that DDP's average of gradients is the gradient of
    one process with the whole batch.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return local
    if local.requires_grad:
        from torch.distributed.nn.functional import all_gather

        return torch.cat(list(all_gather(local)))  # type: ignore[no-untyped-call]
    parts = [torch.empty_like(local) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, local.contiguous())
    return torch.cat(parts)


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
