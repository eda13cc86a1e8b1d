"""A learned query reads the tokens of both streams: a light decoder on frozen features."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .base import Head, HeadSize, as_tokens

__all__ = ["QueryAttention", "time_code"]


def time_code(count: int, width: int) -> Tensor:
    """Sines of the time of `count` tokens spread evenly over a clip, float32 [count, width].

    Time runs from 0 to 1, so that frames and segments of one moment have nearly the same code,
    whatever their numbers.
    """
    time = (torch.arange(count) + 0.5) / count
    octaves = 2.0 ** (torch.arange(math.ceil(width / 2)) % 7)  # 1 to 64 half waves, then again
    waves = math.pi * time[:, None] * octaves
    return torch.cat([waves.sin(), waves.cos()], dim=1)[:, :width]


class QueryAttention(Head):
    """One cross-attention layer of a class query over frame tokens and motion tokens.

    In the spirit of EVL (Lin et al. 2022, arXiv 2208.03550): the backbones stay frozen, a query
    gathers from their tokens, the classifier sees the query.
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
        parts = []
        streams = (
            (self.motion, self.motion_norm, motion),
            (self.appearance, self.appearance_norm, appearance),
        )
        for kind, (project, norm, features) in zip(self.kind, streams, strict=True):
            projected = project(norm(as_tokens(features)))
            parts.append(projected + kind + time_code(projected.shape[1], projected.shape[2]).to(projected))
        tokens = self.before(torch.cat(parts, dim=1))
        query = self.query.expand(tokens.shape[0], -1, -1)
        gathered = query + self.attention(query, tokens, tokens, need_weights=False)[0]
        scores: Tensor = self.classifier((gathered + self.feed(gathered))[:, 0])
        return scores
