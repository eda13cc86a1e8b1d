"""Training of classifiers, motion networks and heads alike, by cross-entropy with validation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ConfigError, TrainingDiverged
from ..parallel.ranks import add_up, agree, share
from .device import put_random_state, random_state
from .loop import FitResult, LoopSettings, Row, StepLoss, Task, TrainingProgress, train
from .optimizer import create_optimizer, warmup_cosine
from .schedule import EpochPlan, plan_epochs
from .settings import TrainSettings

__all__ = ["Batch", "Feed", "cross_entropy", "fit", "refuse_idle_scales"]

_SAVE_EVERY: Final = 5.0  # seconds; at most so much work is lost by an interruption between epochs
_SAVE_WITHIN_EPOCH: Final = 60.0
Batch = tuple[tuple[Tensor, ...], Tensor]


class Feed(Protocol):
    """Source of batches and validation.

    Attributes:
        steps: batches of a pass over the training clips.
    """

    @property
    def steps(self) -> int: ...

    def train_batches(self, epoch: int, first: int = 0) -> Iterable[Batch]:
        """(inputs, labels int64 [B]) of a pass, by its number only, from batch number `first` on."""

    def validate(self, model: nn.Module) -> tuple[float, float]:
        """(top-1 in percent, cross-entropy) on the validation clips; the model is in evaluation mode."""


def fit(
    model: nn.Module,
    feed: Feed,
    settings: TrainSettings,
    *,
    seed: int,
    device: torch.device,
    progress: TrainingProgress | None = None,
    validates: bool = True,
) -> FitResult:
    """Train a classifier, and leave the weights of the best validation epoch in it.

    The best epoch is that of the least validation loss: with the few clips of a validation part, accuracy
    moves in large steps and by chance.

    Args:
        model: moved to `device`.
        feed: training batches and validation.
        settings: how to train; their length in epochs is that of :func:`plan_epochs`.
        seed: seed of the training.
        device: where to train.
        progress: see :func:`moclip_lite.training.loop.train`; rows have epoch, loss, val_loss, accuracy
            and lr.
        validates: False keeps the weights of the last epoch, and never asks the feed to validate.
    """
    plan = plan_epochs(settings, feed.steps)
    loop = LoopSettings(
        epochs=plan.epochs,
        seed=seed,
        max_grad_norm=settings.max_grad_norm,
        patience=settings.patience,
        save_at_epoch=_SAVE_EVERY,
        # The random numbers of other processes are not in the state: with several, an epoch is repeated.
        save_within_epoch=_SAVE_WITHIN_EPOCH if share().world == 1 else math.inf,
        average_steps=settings.average * plan.epochs * plan.steps,
    )
    task = _Classification(model, feed, settings, device, plan, validates)
    return train(task, loop, device=device, progress=progress)


def cross_entropy(scores: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    """Loss of scores [B, C, ...] with labels [B, ...]; the mean loss of several classifiers, [B, C, K]."""
    if scores.ndim > labels.ndim + 1:
        labels = labels.unsqueeze(-1).expand(*labels.shape, scores.shape[-1])
    # In two dimensions: CUDA has no repeatable form of the loss of more (nll_loss2d).
    rows = scores.float().movedim(1, -1).reshape(-1, scores.shape[1])
    return functional.cross_entropy(rows, labels.reshape(-1), label_smoothing=label_smoothing)


def refuse_idle_scales(network: nn.Module, settings: TrainSettings) -> None:
    """Refuse prefixes of ``lr_scales`` that no parameter has. Not for heads: those of a run differ.

    Raises:
        ConfigError: there is one.
    """
    names = [name for name, _ in network.named_parameters()]
    for prefix in settings.lr_scales:
        if not any(name.startswith(prefix) for name in names):
            known = ", ".join(sorted({name.split(".")[0] for name in names}))
            raise ConfigError(f"lr_scales: no parameter begins with {prefix!r}; there are {known}")


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16, without which it is slower than float32."""
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported())
    if device.type == "cuda":
        return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)
    return False


class _Classification(Task[Batch]):
    """Cross-entropy with label smoothing and mixup, in mixed precision where the settings say so."""

    def __init__(
        self,
        model: nn.Module,
        feed: Feed,
        settings: TrainSettings,
        device: torch.device,
        plan: EpochPlan,
        validates: bool,
    ) -> None:
        self.network, self.feed, self.settings, self.device = model, feed, settings, device
        self.plan, self.validates = plan, validates
        self.mixed = settings.precision == "bfloat16" or (
            settings.precision == "auto" and computes_bfloat16(device)
        )
        self.mixing = np.random.default_rng(0)  # seeded in each epoch
        self._resumed: Mapping[str, Any] = {}

    def optimizer(self) -> torch.optim.Optimizer:
        settings = self.settings

        def decay(name: str, parameter: nn.Parameter) -> float:
            return settings.weight_decay if parameter.ndim > 1 else 0.0

        def scale(name: str) -> float:
            prefixes = [prefix for prefix in settings.lr_scales if name.startswith(prefix)]
            return settings.lr_scales[max(prefixes, key=len)] if prefixes else 1.0

        return create_optimizer(self.network, settings.optimizer, decay=decay, scale=scale, eps=settings.eps)

    def rate(self, epoch: int, step: int) -> float:
        settings, epochs = self.settings, self.plan.epochs
        warmup = round(settings.warmup * epochs)
        if settings.schedule == "steps" and epoch >= warmup:
            return settings.lr * 0.1 ** sum(epoch >= milestone for milestone in settings.milestones)
        if settings.epochs is not None:  # a rate for each epoch
            return settings.lr * warmup_cosine(epoch, warmup, epochs)
        total = epochs * self.plan.steps
        return settings.lr * warmup_cosine(epoch * self.plan.steps + step, settings.warmup * total, total)

    def batches(self, epoch: int, first: int) -> Iterator[Batch]:
        self.mixing = np.random.default_rng(int(torch.randint(2**62, (1,)).item()))
        done, rest = divmod(first, max(1, self.feed.steps))
        passes = range(epoch * self.plan.passes + done, (epoch + 1) * self.plan.passes)
        remaining = chain.from_iterable(
            self.feed.train_batches(number, rest if place == 0 else 0) for place, number in enumerate(passes)
        )
        for place, batch in enumerate(remaining):
            if place == 0 and first and self._resumed:  # now: PyTorch's loaders draw when they begin
                self.mixing.bit_generator.state = self._resumed["mixing"]
                put_random_state(self._resumed["random"], self.device)
            yield batch

    def notes(self) -> dict[str, Any]:
        return {"mixing": self.mixing.bit_generator.state, "random": random_state(self.device)}

    def restore(self, notes: Mapping[str, Any]) -> None:
        self._resumed = notes

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        inputs = tuple(x.to(self.device, non_blocking=True) for x in batch[0])
        labels = batch[1].to(self.device, non_blocking=True)
        share_of_first, order = 1.0, torch.arange(len(labels), device=self.device)
        if self.settings.mixup > 0:
            share_of_first = float(self.mixing.beta(self.settings.mixup, self.settings.mixup))
            order = torch.as_tensor(self.mixing.permutation(len(labels)), device=self.device)
            inputs = tuple(share_of_first * x + (1 - share_of_first) * x[order] for x in inputs)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            scores = network(*inputs)
            loss = share_of_first * cross_entropy(scores, labels, self.settings.label_smoothing)
            if share_of_first < 1:
                mixed = cross_entropy(scores, labels[order], self.settings.label_smoothing)
                loss = loss + (1 - share_of_first) * mixed
        return loss, len(labels)

    def summary(self, losses: Sequence[StepLoss]) -> Row:
        total, count = 0.0, 0.0
        for loss, size in losses:
            total, count = total + loss * size, count + size
        total, count = add_up((total, count))
        accuracy, val_loss = 0.0, 0.0
        if self.validates and share().leads:
            accuracy, val_loss = self.feed.validate(self.network)
        accuracy, val_loss, mean = agree((accuracy, val_loss, total / max(count, 1.0)))
        if not math.isfinite(mean + val_loss):
            raise TrainingDiverged(
                "the training diverged: its loss is not a finite number; lower the learning rate (lr)"
            )
        return (
            {"loss": mean, "val_loss": val_loss, "accuracy": accuracy} if self.validates else {"loss": mean}
        )
