"""Length of a training in steps of the optimizer: enough for few clips, and not too many for many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .settings import TrainSettings

__all__ = ["EpochPlan", "plan_epochs"]

_PASSES: Final = 60  # over the clips, between the limits of steps
_MIN_EPOCH_STEPS: Final = 25  # of fewer steps the validation would take as long as the training


@dataclass(frozen=True)
class EpochPlan:
    """How a training is divided into epochs, each with a validation at its end.

    Attributes:
        epochs: their number.
        passes: over the training clips in each.
        steps: of the optimizer in each.
    """

    epochs: int
    passes: int
    steps: int


def plan_epochs(settings: TrainSettings, steps_per_pass: int) -> EpochPlan:
    """The epochs of a training.

    Without ``settings.epochs`` the clips are seen 60 times, in no fewer than ``min_steps`` and no more than
    ``max_steps`` steps, rounded to whole epochs. An epoch has at least 25 steps.

    Args:
        settings: of the training.
        steps_per_pass: batches that contain each training clip once.
    """
    steps_per_pass = max(1, steps_per_pass)
    if settings.epochs is not None:
        return EpochPlan(settings.epochs, 1, steps_per_pass)
    total = min(max(_PASSES * steps_per_pass, settings.min_steps), settings.max_steps)
    passes = -(-min(_MIN_EPOCH_STEPS, total) // steps_per_pass)
    steps = passes * steps_per_pass
    return EpochPlan(max(1, round(total / steps)), passes, steps)
