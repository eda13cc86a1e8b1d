"""Settings of the training of a classifier."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field, model_validator
from typing_extensions import Self

from ..settings import Settings

__all__ = ["REFIT_CLIPS", "Balance", "Precision", "TrainSettings"]

REFIT_CLIPS: Final = 2000
"""Training and validation clips up to which ``refit=auto`` trains twice: of more, a fifth adds little."""

Balance: TypeAlias = Literal["auto", "none", "classes"]
Precision: TypeAlias = Literal["auto", "float32", "bfloat16"]


class TrainSettings(Settings):
    """How to train. The defaults are those of the motion network.

    Attributes:
        epochs: passes over the training clips; None for a length in steps that fits their number,
            see :func:`moclip_lite.training.schedule.plan_epochs`.
        min_steps, max_steps: limits of that length; a lower max_steps lowers a min_steps that is not given.
        batch: clips in a batch.
        lr: peak learning rate.
        weight_decay: the optimizer's; biases and norms have no decay.
        warmup: share of the training in which the learning rate rises.
        optimizer: "adamw", or "adam", whose decay is an L2 penalty.
        eps: the optimizer's.
        schedule: "cosine" falls to zero, "steps" divides the rate by 10 at each of `milestones`.
        milestones: epochs.
        lr_scales: prefix of parameter names -> factor of their learning rate;
            the longest matching prefix counts.
        max_grad_norm: limit of the gradient's norm.
        patience: epochs without a better validation loss before stopping; 0 never stops early.
        label_smoothing: see torch's cross_entropy.
        mixup: parameter of the Beta distribution (Zhang et al. 2018); 0 for none.
        refit: train again on training and validation clips together, as long as validation found best; "auto"
            does so up to :data:`REFIT_CLIPS` of them.
        average: share of the training's steps over which weights are averaged, exponentially; the averaged
            ones are validated and kept; 0 for none.
        balance: "classes" draws as many clips of each class in an epoch, however many it has; "auto" does so
            where classes are uneven, see :func:`moclip_lite.training.batches.uneven`.
        precision: of the network's operations. "auto" is bfloat16 where the hardware computes it (NVIDIA GPUs
            since Ampere, AMD GPUs, CPUs with AVX512-BF16), else float32; weights are float32 always.
    """

    epochs: int | None = Field(None, ge=1, le=1_000_000)
    min_steps: int = Field(1000, ge=1, le=1_000_000_000)
    max_steps: int = Field(20_000, ge=1, le=1_000_000_000)
    batch: int = Field(16, ge=2, le=1_000_000)
    lr: float = Field(3e-3, gt=0, le=100)
    weight_decay: float = Field(0.05, ge=0, le=1000)
    warmup: float = Field(0.1, ge=0, le=1)
    optimizer: Literal["adamw", "adam"] = Field("adamw")
    eps: float = Field(1e-8, gt=0, le=1)
    schedule: Literal["cosine", "steps"] = Field("cosine")
    milestones: tuple[Annotated[int, Field(ge=0, le=1_000_000)], ...] = Field((), max_length=1000)
    lr_scales: dict[str, Annotated[float, Field(ge=0, le=1000)]] = Field({})
    max_grad_norm: float = Field(5.0, gt=0, le=1e9)
    patience: int = Field(0, ge=0, le=1_000_000)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    mixup: float = Field(0.0, ge=0, le=1000)
    average: float = Field(0.02, ge=0, le=1)
    balance: Balance = Field("auto")
    precision: Precision = Field("auto")
    refit: bool | Literal["auto"] = Field("auto")

    def refits(self, clips: int) -> bool:
        """Whether to train again on this number of training and validation clips."""
        return clips <= REFIT_CLIPS if self.refit == "auto" else self.refit

    @model_validator(mode="after")
    def _check_steps(self) -> Self:
        if self.min_steps > self.max_steps:
            if "min_steps" not in self.model_fields_set:
                self.__dict__["min_steps"] = self.max_steps  # frozen
                return self
            raise ValueError(f"min_steps ({self.min_steps}) must not exceed max_steps ({self.max_steps})")
        return self
