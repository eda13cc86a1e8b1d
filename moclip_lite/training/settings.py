"""Settings of the training of a classifier."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from ..settings import Settings

__all__ = ["REFIT_CLIPS", "TrainSettings"]

REFIT_CLIPS: Final = 2000
"""Training and validation clips up to which ``refit=auto`` trains twice: with more, a fifth of them changes little."""


class TrainSettings(Settings):
    """How to train. The defaults are those of the motion network.

    Attributes:
        epochs: maximum number of epochs.
        batch: clips in a batch.
        lr: peak learning rate.
        weight_decay: the optimizer's; biases and norms have no decay.
        warmup: share of the epochs in which the learning rate rises.
        optimizer: "adamw", or "adam", whose decay is an L2 penalty.
        eps: the optimizer's.
        schedule: "cosine" falls to zero, "steps" divides the rate by 10 at each of `milestones`.
        milestones: epochs.
        lr_scales: prefix of parameter names -> factor of their learning rate; the longest matching prefix
            counts.
        max_grad_norm: limit of the gradient's norm.
        patience: epochs without a better validation loss before stopping; 0 never stops early.
        label_smoothing: see torch's cross_entropy.
        mixup: parameter of the Beta distribution (Zhang et al. 2018); 0 for none.
        refit: train again on training and validation clips together, as long as validation found best; "auto" does so
            up to :data:`REFIT_CLIPS` of them.
    """

    epochs: int = Field(60, ge=1)
    batch: int = Field(16, ge=2)
    lr: float = Field(3e-3, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    warmup: float = Field(0.1, ge=0, le=1)
    optimizer: Literal["adamw", "adam"] = Field("adamw")
    eps: float = Field(1e-8, gt=0)
    schedule: Literal["cosine", "steps"] = Field("cosine")
    milestones: tuple[Annotated[int, Field(ge=0)], ...] = Field(())
    lr_scales: dict[str, Annotated[float, Field(ge=0)]] = Field({})
    max_grad_norm: float = Field(5.0, gt=0)
    patience: int = Field(0, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    mixup: float = Field(0.0, ge=0)
    refit: bool | Literal["auto"] = Field("auto")

    def refits(self, clips: int) -> bool:
        """Whether to train again on this number of training and validation clips."""
        return clips <= REFIT_CLIPS if self.refit == "auto" else self.refit
