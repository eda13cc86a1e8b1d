"""Cross-attention of a learned query over the tokens of both streams."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .base import Head, HeadSize, as_tokens

__all__ = ["QueryAttention", "time_encoding"]


def time_encoding(count: int, width: int) -> Tensor:
    """Sinusoidal encoding of the times of `count` tokens spread evenly over a clip, float32 [count, width].

    Time runs from 0 to 1, so that a frame and a segment of the same moment have nearly the same
    encoding, however many of each there are.
    """
    time = (torch.arange(count) + 0.5) / count
    octaves = 2.0 ** (torch.arange(math.ceil(width / 2)) % 7)  # 1 to 64 half waves, repeated
    waves = math.pi * time[:, None] * octaves
    return torch.cat([waves.sin(), waves.cos()], dim=1)[:, :width]


class QueryAttention(Head):
    """One cross-attention layer of a class query over frame tokens and motion tokens.

    After EVL (Lin et al. 2022, arXiv 2208.03550): the backbones stay frozen, a query attends to their
    tokens, and the classifier sees the query.
    """

    tokens = True

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        width = max(8, size.hidden // 2 // 8 * 8)
        self.motion = nn.Linear(size.motion, width)
        self.appearance = nn.Linear(size.appearance, width)
        self.kind = nn.Parameter(0.02 * torch.randn(2, width))
        self.query = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.before = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 8, batch_first=True)
        self.feed = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.classifier = nn.Sequential(
            nn.LayerNorm(width), nn.Dropout(size.dropout), nn.Linear(width, size.classes)
        )

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        motion_tokens = self.motion(self.motion_norm(as_tokens(motion)))
        appearance_tokens = self.appearance(self.appearance_norm(as_tokens(appearance)))
        encoded = [
            tokens + stream + time_encoding(tokens.shape[1], tokens.shape[2]).to(tokens)
            for tokens, stream in zip((motion_tokens, appearance_tokens), self.kind, strict=True)
        ]
        keys = self.before(torch.cat(encoded, dim=1))
        query = self.query.expand(keys.shape[0], -1, -1)
        attended = query + self.attention(query, keys, keys, need_weights=False)[0]
        scores: Tensor = self.classifier((attended + self.feed(attended))[:, 0])
        return scores
