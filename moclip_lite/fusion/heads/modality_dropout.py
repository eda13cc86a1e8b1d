"""Modality dropout: training that lets no stream depend on the other."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from .concat_mlp import ConcatMLP

__all__ = ["ModalityDropout"]


class ModalityDropout(ConcatMLP):
    """The paper's head, trained with one stream blanked at random (ModDrop, Neverova et al. 2016).

    A blank stream is the training mean, which is also the input of a clip without motion in testing.
    """

    RATE: Final = 0.2  # share of clips that lose motion; as many others lose appearance

    def standardized(self, motion: Tensor, appearance: Tensor) -> tuple[Tensor, Tensor]:
        motion_feature, appearance_feature = super().standardized(motion, appearance)
        if self.training:
            draw = torch.rand(len(motion_feature), 1, device=motion_feature.device)
            motion_feature = motion_feature * (draw >= self.RATE)
            appearance_feature = appearance_feature * (draw < 1 - self.RATE)
        return motion_feature, appearance_feature
