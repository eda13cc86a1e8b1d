"""Settings of the heads and of their training."""

from __future__ import annotations

from pydantic import Field, field_validator

from ..settings import Settings
from ..training.settings import Balance, Precision, TrainSettings
from .registry import check_head

__all__ = ["FusionSettings", "HeadTrainSettings"]


class FusionSettings(Settings):
    """The head on both features."""

    head: str = Field("concat_mlp", description="a name of moclip_lite.fusion.list_heads()")
    hidden: int = Field(512, ge=1, description="width of the hidden layer")
    dropout: float = Field(0.5, ge=0, lt=1, description="before the classifier")
    standardize: bool = Field(True, description="scale features by statistics of the training clips")

    _check_head = field_validator("head")(check_head)


class HeadTrainSettings(TrainSettings):
    """Training of heads on cached features."""

    epochs: int | None = Field(60, ge=1)
    batch: int = Field(64, ge=2)
    lr: float = Field(1e-3, gt=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    average: float = Field(0.0, ge=0, le=1)
    balance: Balance = Field("none")
    precision: Precision = Field("float32")
