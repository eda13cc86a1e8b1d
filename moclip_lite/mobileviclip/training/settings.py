"""Settings of video-text training."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator
from typing_extensions import Self

from ...settings import Settings

__all__ = ["VideoTextSettings"]

_Beta = Annotated[float, Field(ge=0, lt=1)]


class VideoTextSettings(Settings):
    """How to train. The defaults are the published schedule.

    Attributes:
        epochs: passes over the pairs.
        warmup: epochs in which the learning rate rises, fewer than `epochs`; a third of them for one epoch.
        batch: pairs per step and process.
        lr: peak learning rate.
        betas, weight_decay: AdamW's; biases, norms, scales and the temperature have no decay.
        freeze_text: train the video encoder and the temperature only.
        grad_checkpointing: store no activations within blocks: less memory, a third more time.
        threads: threads that read clips ahead.
        seed: seed of order and augmentation.
    """

    epochs: int = Field(3, ge=1, le=1_000_000)
    warmup: float = Field(1.0, ge=0, le=1_000_000)
    batch: int = Field(32, ge=1, le=1_000_000)
    lr: float = Field(1e-5, gt=0, le=100)
    betas: tuple[_Beta, _Beta] = Field((0.9, 0.98))
    weight_decay: float = Field(0.2, ge=0, le=1000)
    freeze_text: bool = Field(True)
    grad_checkpointing: bool = Field(False)
    threads: int = Field(2, ge=1, le=1024)
    seed: int = Field(0, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _check_warmup(self) -> Self:
        """The rate falls after its peak, so that a training ends with a small one."""
        if self.warmup >= self.epochs:
            if "warmup" in self.model_fields_set:
                raise ValueError(f"warmup ({self.warmup:g}) must be below epochs ({self.epochs})")
            self.__dict__["warmup"] = self.epochs / 3  # frozen; as in the published schedule
        return self
