"""Tip-Adapter: zero-shot and the similarity to the training clips, without training."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .base import HeadSize
from .linear import Array
from .linear_pool import MiddleFrame
from .text import TEXT_SCALE, TextPool

if TYPE_CHECKING:
    from ..tables import FeatureTable, Split

__all__ = ["TipAdapter", "TipAdapterAppearance", "TipAdapterOneFrame"]

_ALPHAS: Final = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
_BETAS: Final = (1.0, 3.0, 10.0, 30.0, 100.0)
_CANDIDATES: Final = tuple(itertools.product(_BETAS, _ALPHAS))


class TipAdapter(TextPool):
    """Logistic regression on motion and on pooled 100 cos(frame, text) + alpha x affinity to class clips.

    The affinity of a frame f to a training clip k is exp(-beta (1 - f.k)) (Tip-Adapter, Zhang et al. 2022).
    It is averaged over the clips of a class here, not summed, so that alpha means the same for any number of
    clips. alpha and beta are those of least cross-entropy on held-out clips; nothing else is trained. The
    weights hold a feature of each training clip.
    """

    streams: ClassVar[tuple[str, ...]] = ("motion", "cache")
    expert = "cache"
    keys: Tensor
    values: Tensor
    sharpness: Tensor

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        self.register_buffer("keys", torch.zeros(1, size.appearance))
        self.register_buffer("values", torch.zeros(1, size.classes))
        self.register_buffer("sharpness", torch.tensor([_BETAS[0], _ALPHAS[0]]))  # beta, alpha

    def take_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Make room for as many training clips as a weights file holds."""
        clips = (shapes.get("keys") or (1,))[0]
        self.keys, self.values = (
            buffer.new_zeros(clips, buffer.shape[1]) for buffer in (self.keys, self.values)
        )

    def expert_logits(self, features: Tensor) -> Tensor:
        beta, alpha = self.sharpness[0], self.sharpness[1]
        affinity = torch.exp(beta * (features @ self.keys.T - 1)) @ self.values
        return TEXT_SCALE * features @ self.text.T + alpha * affinity

    def expert_path(self, split: Split) -> Array:
        from scipy.special import log_softmax

        keys, values = self.compared_array(split.train), self._values(split.train)
        features = self.compared_array(split.held_out)
        zero_shot, cosines = TEXT_SCALE * features @ self.text.double().numpy().T, features @ keys.T
        affinities = {beta: np.exp(beta * (cosines - 1)) @ values for beta in _BETAS}
        return np.stack(
            [log_softmax(zero_shot + alpha * affinities[beta], axis=1) for beta, alpha in _CANDIDATES]
        )

    def choose_expert(self, best: int) -> None:
        self.sharpness.copy_(torch.tensor(_CANDIDATES[best]))

    def chosen_expert(self) -> dict[str, float]:
        beta, alpha = self.sharpness.tolist()
        return {"alpha": alpha, "beta": beta}

    @torch.no_grad()
    def fit_expert(self, table: FeatureTable) -> None:
        """Keep these clips."""
        self.keys = self.compared(table.appearance)
        self.values = torch.from_numpy(self._values(table)).float()

    def _values(self, table: FeatureTable) -> Array:
        """Weight of each clip in its class: [N, C], columns of sum 1, or 0 where a class has no clip."""
        one_hot = functional.one_hot(table.labels, len(self.text)).double()
        return np.asarray((one_hot / one_hot.sum(dim=0).clamp_min(1)).numpy())


class TipAdapterAppearance(TipAdapter):
    """:class:`TipAdapter` without motion."""

    streams: ClassVar[tuple[str, ...]] = ("cache",)


class TipAdapterOneFrame(MiddleFrame, TipAdapterAppearance):
    """:class:`TipAdapterAppearance` on the middle frame."""
