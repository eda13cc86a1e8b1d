"""Trained classifiers and the class texts, interpolated with weights from held-out clips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import torch
from torch import Tensor

from .base import HeadSize
from .linear import Array
from .linear_pool import MiddleFrame
from .text import TEXT_SCALE, TextPool

if TYPE_CHECKING:
    from ..tables import Split

__all__ = ["TextPoolAppearance", "TextPoolFusion", "TextPoolOneFrame"]

_SCALES: Final = tuple(TEXT_SCALE / 2**step for step in range(5))


class TextPoolFusion(TextPool):
    """:class:`~moclip_lite.fusion.heads.linear_pool.LinearPool` with zero-shot as a third stream.

    alpha, the trained classifier's share of the two on frames, is chosen on held-out clips: 0 is zero-shot
    and 1 the linear pool. For classifiers that are linear in the frame's feature, the mean of the scores is
    the mean of the weights (WiSE-FT, Wortsman et al. 2022).
    """

    streams: ClassVar[tuple[str, ...]] = ("motion", "appearance", "text")
    expert = "text"
    scale: Tensor

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        self.register_buffer("scale", torch.tensor([TEXT_SCALE]))

    def expert_logits(self, features: Tensor) -> Tensor:
        return self.scale * features @ self.text.T

    def expert_path(self, split: Split) -> Array:
        from scipy.special import log_softmax

        cosines = self.compared_array(split.held_out) @ self.text.double().numpy().T
        return np.stack([log_softmax(scale * cosines, axis=1) for scale in _SCALES])

    def choose_expert(self, best: int) -> None:
        self.scale.fill_(_SCALES[best])

    def chosen_expert(self) -> dict[str, float]:
        return {"scale": float(self.scale)}

    def choices(self) -> dict[str, Any]:
        trained, text = (float(self.weights[self.streams.index(name)]) for name in ("appearance", "text"))
        return {**super().choices(), "alpha": trained / (trained + text)}


class TextPoolAppearance(TextPoolFusion):
    """:class:`TextPoolFusion` without motion."""

    streams: ClassVar[tuple[str, ...]] = ("appearance", "text")


class TextPoolOneFrame(MiddleFrame, TextPoolAppearance):
    """:class:`TextPoolAppearance` on the middle frame."""
