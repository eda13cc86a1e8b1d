"""Temporal shift: a 2-D network on each field whose channels look one field ahead and back.

TSM (Lin et al., arXiv 1811.08383): part of the channels is moved one step in time before each
residual branch. It costs nothing, and after four stages each field has seen nine. Windows of 16
fields show a whole step or hop, and when in it the body rises; five stacked fields do not.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import compress, stages, stem, summary

__all__ = ["Shift", "ShiftEncoder"]


class Shift(nn.Module):
    """Move a quarter of the channels back and a quarter forward by one of `steps`; zeros come in.

    [N * steps, C, H, W] -> the same shape.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        steps = x.reshape(-1, self.steps, *x.shape[1:])
        part = x.shape[1] // 4
        later, earlier, same = steps[:, :, :part], steps[:, :, part : 2 * part], steps[:, :, 2 * part :]
        none = torch.zeros_like(later[:, :1])
        moved = torch.cat(
            [torch.cat([later[:, 1:], none], dim=1), torch.cat([none, earlier[:, :-1]], dim=1), same], dim=2
        )
        return moved.reshape(x.shape)


class ShiftEncoder(nn.Module):
    """Residual CNN with temporal shift; the mean over the fields is the window's feature.

    Args:
        frames: fields in a window (L).
        width: channels of the first stage.
    """

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        self.frames = frames
        self.stem = stem(2, width)
        self.blocks = stages(width, Shift(frames))
        self.map_dim = 4 * width
        self.feature_dim = 2 * self.map_dim

    def maps(self, motion: Tensor) -> Tensor:
        """[N, 2 L, H, W] -> [N, L, map_dim, H/8, W/8]."""
        fields = motion.reshape(-1, 2, *motion.shape[2:])
        maps: Tensor = self.blocks(self.stem(compress(fields)))
        return maps.reshape(-1, self.frames, *maps.shape[1:])

    def forward(self, motion: Tensor) -> Tensor:
        """[N, 2 L, H, W] -> [N, feature_dim]."""
        maps = self.maps(motion)
        return summary(maps.flatten(0, 1)).reshape(*maps.shape[:2], -1).mean(dim=1)
