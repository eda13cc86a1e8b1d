"""Modality dropout: neither stream may rely on the other being there."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from .concat_mlp import ConcatMLP

__all__ = ["ModalityDropout"]


class ModalityDropout(ConcatMLP):
    """The paper's head, trained with one stream blanked at random (ModDrop, Neverova et al. 2016).

    A blank stream is the training mean, which is also what a clip without motion gets in testing.
    """

    RATE: Final = 0.2  # of clips lose motion, and as many others lose appearance

    def streams(self, motion: Tensor, appearance: Tensor) -> tuple[Tensor, Tensor]:
        moving, seen = super().streams(motion, appearance)
        if self.training:
            chance = torch.rand(len(moving), 1, device=moving.device)
            moving = moving * (chance >= self.RATE)
            seen = seen * (chance < 1 - self.RATE)
        return moving, seen
