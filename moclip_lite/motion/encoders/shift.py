"""Temporal shift: a 2-D network on each field that exchanges channels with its neighbours.

TSM (Lin et al., arXiv 1811.08383): part of the channels is moved one step in time before each residual
branch, which costs no operations. After four stages the receptive field is nine fields. Windows of 16
fields cover a whole step or hop, and when in it the body rises; five stacked fields do not.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .fields import FieldEncoder

__all__ = ["Shift", "ShiftEncoder"]


class Shift(nn.Module):
    """Move a quarter of the channels back and a quarter forward by one of `steps`, with zeros at the ends.

    [N * steps, C, H, W] -> the same shape.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        quarter = x.shape[1] // 4
        sizes = [quarter, quarter, x.shape[1] - 2 * quarter]
        later, earlier, same = torch.split(x.reshape(-1, self.steps, *x.shape[1:]), sizes, dim=2)
        zeros = torch.zeros_like(later[:, :1])
        from_later = torch.cat([later[:, 1:], zeros], dim=1)
        from_earlier = torch.cat([zeros, earlier[:, :-1]], dim=1)
        return torch.cat([from_later, from_earlier, same], dim=2).reshape(x.shape)


class ShiftEncoder(FieldEncoder):
    """Network on fields with a temporal shift before each residual branch.

    Args:
        frames: fields in a window (L).
        width: channels of the first stage.
    """

    def __init__(self, frames: int, width: int) -> None:
        super().__init__(frames, width, Shift(frames))
