"""Temporal shift: a 2-D network on each field whose channels look one field ahead and back.

TSM (Lin et al., arXiv 1811.08383): part of the channels is moved one step in time before each
residual branch. It costs nothing, and after four stages each field has seen nine. Windows of 16
fields show a whole step or hop, and when in it the body rises; five stacked fields do not.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .fields import FieldEncoder

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


class ShiftEncoder(FieldEncoder):
    """A network on fields that see their neighbours.

    Args:
        frames: fields in a window (L).
        width: channels of the first stage.
    """

    def __init__(self, frames: int, width: int) -> None:
        super().__init__(frames, width, Shift(frames))
