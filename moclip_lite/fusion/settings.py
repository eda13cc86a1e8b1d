"""Settings of the heads and of their training."""

from __future__ import annotations

from typing import Final

from pydantic import Field, field_validator

from ..settings import Settings
from ..training.settings import Balance, Precision, TrainSettings
from .registry import check_head

__all__ = ["MOST_FOLDS", "FusionSettings", "HeadTrainSettings"]

MOST_FOLDS: Final = 10
"""Highest value of ``train_head.cross_fit``."""


class FusionSettings(Settings):
    """The head on both features."""

    head: str = Field("linear_pool", description="a name of moclip_lite.fusion.list_heads()")
    hidden: int = Field(512, ge=1, le=65_536, description="width of the hidden layer")
    dropout: float = Field(0.5, ge=0, lt=1, description="before the classifier")
    standardize: bool = Field(True, description="scale features by statistics of the training clips")

    _check_head = field_validator("head")(check_head)


class HeadTrainSettings(TrainSettings):
    """Training of heads on cached features."""

    epochs: int | None = Field(60, ge=1, le=1_000_000)
    batch: int = Field(64, ge=2, le=1_000_000)
    lr: float = Field(1e-3, gt=0, le=100)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    average: float = Field(0.0, ge=0, le=1)
    balance: Balance = Field("none")
    precision: Precision = Field("float32")
    cross_fit: int = Field(
        0,
        ge=0,
        le=MOST_FOLDS,
        description="motion networks trained on parts of train, for held-out scores of the rest",
    )

    @field_validator("cross_fit")
    @classmethod
    def _check_cross_fit(cls, value: int) -> int:
        if value == 1:
            raise ValueError("one part leaves no clips to train on; give 0 for none, or at least 2")
        return value
