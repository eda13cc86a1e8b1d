"""Temporal attention over frames: which frames of a clip tell its class, and in which order they come."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..tables import pool_tokens
from .base import Head, HeadSize, as_tokens, mlp
from .controls import matched_width
from .query_attention import time_encoding

__all__ = ["FrameAttention", "FrameAttentionOnly"]


class _FramePool(nn.Module):
    """Frames [B, N, D] -> [B, D + width]: their mean by learned weights, and what self-attention sees.

    It starts as the plain mean: the weights are equal and the second part is zero. Frames know their place by
    an encoding of it; with ``clip.pooling=timed`` their features hold their times, too.
    """

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(length, width)
        self.before = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.after = nn.LayerNorm(width)
        self.query = nn.Parameter(torch.zeros(width))
        self.gain = nn.Parameter(torch.zeros(width))

    def forward(self, frames: Tensor) -> Tensor:
        tokens = self.project(frames)
        tokens = tokens + time_encoding(tokens.shape[1], tokens.shape[2]).to(tokens)
        normal = self.before(tokens)
        tokens = self.after(tokens + self.attention(normal, normal, normal, need_weights=False)[0])
        shares = (tokens @ self.query / math.sqrt(len(self.query))).softmax(dim=1).unsqueeze(-1)
        return torch.cat([(shares * frames).sum(dim=1), self.gain * (shares * tokens).sum(dim=1)], dim=1)


def _width(size: HeadSize) -> int:
    return max(8, size.hidden // 4 // 8 * 8)


class FrameAttention(Head):
    """Attention over frames, joined with the mean motion feature in a hidden layer.

    After the temporal transformers on frozen CLIP features (ActionCLIP, Wang et al. 2021, arXiv 2109.08472;
    Ju et al. 2022, arXiv 2112.04478), with one layer.
    """

    tokens = True

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        width = _width(size)
        self.frames = _FramePool(size.appearance, width)
        self.net = mlp(size.motion + size.appearance + width, size.hidden, size.classes, size.dropout)

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        seen = self.frames(self.appearance_norm(as_tokens(appearance)))
        scores: Tensor = self.net(torch.cat([self.motion_norm(pool_tokens(motion)), seen], dim=1))
        return scores


class FrameAttentionOnly(Head):
    """:class:`FrameAttention` without motion: its control; the hidden layer is widened to its size."""

    tokens = True

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        width = _width(size)
        self.frames = _FramePool(size.appearance, width)
        seen = size.appearance + width
        self.net = mlp(seen, matched_width(seen, size.motion, size), size.classes, size.dropout)

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        scores: Tensor = self.net(self.frames(self.appearance_norm(as_tokens(appearance))))
        return scores
