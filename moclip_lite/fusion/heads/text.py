"""Base of heads that compare frames with class text: text embeddings as a classifier in an opinion pool."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final

import torch
from torch import Tensor
from torch.nn import functional

from .base import HeadSize
from .linear import Array
from .linear_pool import LinearPool

if TYPE_CHECKING:
    from ..tables import FeatureTable, Split

__all__ = ["TEXT_SCALE", "TextPool"]

TEXT_SCALE: Final = 100.0
"""CLIP's logit scale at the end of its training (Radford et al. 2021)."""


class TextPool(LinearPool, ABC):
    """A :class:`LinearPool` one of whose streams compares frames with the class texts.

    The pool weighs the streams as :class:`LinearPool` does: on clips that none of the classifiers has seen.
    Text embeddings without information on the classes get little weight. Where there are none
    (``create_head`` alone), the classes have random directions.

    Derived heads name the stream in `expert` and implement :meth:`expert_logits`, :meth:`expert_path`,
    :meth:`choose_expert`, :meth:`chosen_expert` and, where something is fitted, :meth:`fit_expert`.
    """

    from_text = True
    streams: ClassVar[tuple[str, ...]]
    expert: ClassVar[str]
    text: Tensor

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        random = functional.normalize(torch.randn(size.classes, size.appearance), dim=-1)
        self.register_buffer("text", random)

    def start_from_text(self, classes: Tensor) -> None:
        self.text.copy_(functional.normalize(classes, dim=-1))

    def compared(self, appearance: Tensor) -> Tensor:
        """[B, Da] to compare with text: the normalised mean of the normalised frames, as in zero-shot."""
        frames = functional.normalize(self.frames(appearance), dim=-1)
        return functional.normalize(frames.mean(dim=1), dim=-1)

    @torch.no_grad()
    def compared_array(self, table: FeatureTable) -> Array:
        """:meth:`compared` of a table, float64 [N, Da]."""
        return self.compared(table.appearance).double().numpy()

    def logits(self, stream: str, motion: Tensor, appearance: Tensor) -> Tensor:
        if stream == self.expert:
            return self.expert_logits(self.compared(appearance))
        return super().logits(stream, motion, appearance)

    def path(self, stream: str, split: Split) -> Array:
        return self.expert_path(split) if stream == self.expert else super().path(stream, split)

    def choose(self, stream: str, best: int) -> None:
        if stream == self.expert:
            self.choose_expert(best)
        else:
            super().choose(stream, best)

    def chosen(self, stream: str) -> dict[str, float]:
        return self.chosen_expert() if stream == self.expert else super().chosen(stream)

    def fit_stream(self, stream: str, table: FeatureTable) -> None:
        if stream == self.expert:
            self.fit_expert(table)
        else:
            super().fit_stream(stream, table)

    @abstractmethod
    def expert_logits(self, features: Tensor) -> Tensor:
        """Scores [B, C] of features [B, Da] of length 1."""

    @abstractmethod
    def expert_path(self, split: Split) -> Array:
        """As :meth:`LinearPool.path`."""

    @abstractmethod
    def choose_expert(self, best: int) -> None:
        """As :meth:`LinearPool.choose`."""

    @abstractmethod
    def chosen_expert(self) -> dict[str, float]:
        """As :meth:`LinearPool.chosen`."""

    def fit_expert(self, table: FeatureTable) -> None:
        """As :meth:`LinearPool.fit_stream`; nothing where there is nothing to fit."""
