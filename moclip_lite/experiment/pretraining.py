"""Pre-training of a motion network on generated motion: weights for ``motion.pretrained``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..errors import ConfigError
from ..motion.augment import RandomView
from ..motion.generated import ACTIONS, GeneratedMotion
from ..motion.network import build_motion_net
from ..motion.settings import PRETRAIN_STEPS, MotionSettings
from ..progress import Reporter
from ..storage.digest import digest_bytes
from ..storage.files import check_output
from ..training.batches import accuracy_and_loss
from ..training.checkpoint import save_weights
from ..training.classification import Batch, fit
from ..training.device import pick_device, seed_all
from ..training.loop import FitResult, Row, TrainingProgress
from ..training.settings import TrainSettings

__all__ = ["pretrain"]

_BATCH: Final = 32
_STEPS_BETWEEN_VALIDATIONS: Final = 100
_VALIDATION_BATCHES: Final = 8
_VERSION: Final = 1  # of the generated motion: a training of another version is not resumed


class _Feed:
    """Generated batches; those of validation have numbers that training never reaches."""

    def __init__(self, motion: MotionSettings, seed: int, steps: int) -> None:
        self._source, self._seed, self.steps = GeneratedMotion(motion, seed), seed, steps
        self._windows = min(motion.train_segments, motion.segments)
        self._view = RandomView(flip=motion.flip, min_side=motion.min_side, speed=motion.speed)

    def train_batches(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        for number in range(epoch * self.steps + first, (epoch + 1) * self.steps):
            motion, labels = self._source.batch(_VALIDATION_BATCHES + number, _BATCH, self._windows)
            generator = torch.Generator().manual_seed(self._seed * 1_000_003 + number)
            yield (self._view(torch.from_numpy(motion), generator),), torch.from_numpy(labels)

    def validate(self, model: nn.Module) -> tuple[float, float]:
        device = next(model.parameters()).device
        motions, labels = zip(*self._validation, strict=True)
        with torch.inference_mode():
            scores = [
                model(torch.from_numpy(motion).to(device)).float().softmax(1).cpu() for motion in motions
            ]
        return accuracy_and_loss(torch.cat(scores).numpy(), np.concatenate(labels))

    @cached_property
    def _validation(self) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
        """The batches of every validation."""
        return [self._source.batch(number, _BATCH, self._windows) for number in range(_VALIDATION_BATCHES)]


def pretrain(
    motion: MotionSettings,
    out: Path,
    reporter: Reporter,
    *,
    seed: int,
    device: str,
    steps: int = PRETRAIN_STEPS,
    half: bool = False,
) -> FitResult:
    """Train a motion network to tell generated actions apart, and write its weights.

    An interrupted training continues from a file beside `out`.

    Args:
        motion: the network and what it reads.
        out: safetensors file to write, for ``motion.pretrained``.
        reporter: told the progress.
        seed: of the network and of the generated motion.
        device: "auto", "cpu", "cuda" or "mps".
        steps: of the optimizer, rounded to hundreds.
        half: write half-precision numbers, for half the size.

    Raises:
        ConfigError: motion that is not generated, a network that starts from other weights,
            or `out` can't be written.
        OSError: the file can't be written.
    """
    if motion.field == "accumulated":
        raise ConfigError("accumulated motion is not generated; set motion.field to raw or compensated")
    check_output(out)
    if motion.pretrained in ("auto", "generated"):
        motion = motion.model_copy(update={"pretrained": False})
    if motion.pretrained:
        raise ConfigError("pre-training starts from random weights; set motion.pretrained=false")
    if motion.crop != "none":
        reporter.warn(
            f"generated motion shows whole frames, and motion.crop={motion.crop} is not applied to it: "
            "the figures have other sizes than in the boxes of your clips"
        )
    rounded = max(1, round(steps / _STEPS_BETWEEN_VALIDATIONS)) * _STEPS_BETWEEN_VALIDATIONS
    settings = TrainSettings(min_steps=rounded, max_steps=rounded, batch=_BATCH)
    made_from = {"motion": motion.deciding(), "seed": seed, "steps": rounded, "version": _VERSION}
    seed_all(seed)
    network = build_motion_net(motion, len(ACTIONS))
    epochs = rounded // _STEPS_BETWEEN_VALIDATIONS
    out.parent.mkdir(parents=True, exist_ok=True)
    state = out.with_name(f".{out.name}.state")

    def show(row: Row) -> None:
        reporter.progress("pre-training", int(row["epoch"]) + 1, epochs)

    result = fit(
        network,
        _Feed(motion, seed, _STEPS_BETWEEN_VALIDATIONS),
        settings,
        seed=seed,
        device=pick_device(device),
        progress=TrainingProgress(
            checkpoint=state,
            fingerprint=digest_bytes([json.dumps(made_from, sort_keys=True).encode()]),
            on_epoch=show,
        ),
    )
    save_weights(
        out,
        network.half() if half else network,
        ACTIONS,
        {"pretraining": made_from, "accuracy": result.best_accuracy},
    )
    state.unlink(missing_ok=True)
    return result
