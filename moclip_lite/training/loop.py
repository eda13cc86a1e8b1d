"""The one training loop: motion networks and heads alike.

AdamW, linear warm-up and cosine decay, mixed precision where there is a GPU, gradient clipping,
early stopping on validation loss, and a checkpoint every few seconds from which an interrupted
run continues to the same result. All randomness of an epoch comes from (seed, epoch). Under torchrun
each process takes its part of every batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ConfigError
from ..parallel.ddp import in_parallel
from ..parallel.ranks import (
    agree,
    local_device,
    share,
    share_weights,
    wait_for_all,
)
from .optimizer import (
    load_state,
    parameter_groups,
    save_state,
    warm_cosine,
)
from .settings import TrainSettings

__all__ = ["Batch", "Feed", "FitResult", "fit", "pick_device", "seed_all"]

_SAVE_EVERY: Final = 5.0  # seconds; what an interruption may cost
Batch = tuple[tuple[Tensor, ...], Tensor]


class Feed(Protocol):
    """Where batches come from."""

    def train_batches(self, epoch: int) -> Iterable[Batch]:
        """(inputs, labels int64 [B]) of one epoch; depends on `epoch` alone."""

    def validate(self, model: nn.Module) -> tuple[float, float]:
        """(top-1 in percent, cross-entropy) on the validation cut; the model is in evaluation mode."""


@dataclass
class FitResult:
    """What came out. `history` has a row per epoch: epoch, loss, val_loss, accuracy, lr."""

    best_epoch: int = -1
    best_accuracy: float = -1.0
    best_loss: float = math.inf
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0


def seed_all(seed: int) -> None:
    """Seed torch on all devices."""
    torch.manual_seed(seed % 2**63)


def pick_device(name: str = "auto") -> torch.device:
    """ "auto" is CUDA where there is one, else the CPU.

    Args:
        name: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        ConfigError: no such device here.
    """
    if name == "auto":
        return local_device()
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not (kind == "cuda" and number.isdecimal())):
        raise ConfigError(f"the device must be auto, cpu, cuda, cuda:N or mps, got {name!r}")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ConfigError(f"there is no device {name!r} on this machine; take auto or cpu")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("there is no device 'mps' on this machine; take auto or cpu")
    return torch.device(name)


def fit(
    model: nn.Module,
    feed: Feed,
    settings: TrainSettings,
    *,
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
    fingerprint: str = "",
    on_epoch: Callable[[dict[str, float]], None] = lambda row: None,
) -> FitResult:
    """Train, and leave the weights of the best validation epoch in the model.

    The best epoch is the one of least cross-entropy: with the few clips of a validation cut,
    accuracy moves in large steps and by chance.

    Args:
        model: moved to `device`.
        feed: training batches and the validation score.
        settings: see :class:`moclip_lite.training.settings.TrainSettings`.
        seed: of everything drawn in training.
        device: where to train.
        checkpoint: written at the end of an epoch, every few seconds; if it exists with this fingerprint, training goes on
            from it.
        fingerprint: says what is being trained on what; a checkpoint of another is ignored.
        on_epoch: told each epoch's row.
    """
    started = time.perf_counter()
    model.to(device)
    part = share()
    trained = in_parallel(model, device)
    optimizer = _optimizer(model, settings)
    result = FitResult()
    best = _snapshot(model)
    first, saved = 0, started
    resumed = load_state(checkpoint, fingerprint, optimizer, lambda note: FitResult(**note))
    if resumed is not None:
        result, states = resumed
        model.load_state_dict(states["model"])
        best = {name: states["best"][name].to(value.device) for name, value in best.items()}
        first = len(result.history)
    wait_for_all()  # all have read it before the first of them writes it again
    for epoch in range(first, settings.epochs):
        if _stale(result, settings):
            break
        rate = _rate(settings, epoch)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        seed_all(seed * 100_003 + epoch + part.rank * 2**40)
        loss = _train_epoch(trained, feed.train_batches(epoch), optimizer, settings, device)
        model.eval()
        judged = feed.validate(model) if part.leads else (0.0, 0.0)
        accuracy, val_loss, loss = agree((*judged, loss))
        row = {"epoch": epoch, "loss": loss, "val_loss": val_loss, "accuracy": accuracy, "lr": rate}
        result.history.append(row)
        if val_loss < result.best_loss:
            result.best_epoch, result.best_accuracy, result.best_loss = epoch, accuracy, val_loss
            best = _snapshot(model)
        now = time.perf_counter()
        result.seconds, started = result.seconds + now - started, now
        if checkpoint is not None and part.leads and now - saved >= _SAVE_EVERY:
            states = {"model": model.state_dict(), "best": best}
            save_state(checkpoint, fingerprint, states, optimizer, vars(result))
            saved = now
        on_epoch(row)
    model.load_state_dict(best)
    share_weights(model)
    model.eval()
    return result


def _optimizer(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    def options(name: str, parameter: nn.Parameter) -> dict[str, float]:
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        return {"weight_decay": decay, "scale": _scale(name, settings)}

    kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
    groups = parameter_groups(model, options)
    made: torch.optim.Optimizer = kinds[settings.optimizer](groups, lr=settings.lr, eps=settings.eps)
    return made


def _scale(name: str, settings: TrainSettings) -> float:
    fitting = [prefix for prefix in settings.lr_scales if name.startswith(prefix)]
    return settings.lr_scales[max(fitting, key=len)] if fitting else 1.0


def _rate(settings: TrainSettings, epoch: int) -> float:
    warm = round(settings.warmup * settings.epochs)
    if settings.schedule == "steps" and epoch >= warm:
        return settings.lr * 0.1 ** sum(epoch >= milestone for milestone in settings.milestones)
    return settings.lr * warm_cosine(epoch, warm, settings.epochs)


def _stale(result: FitResult, settings: TrainSettings) -> bool:
    if not settings.patience or not result.history:
        return False
    return len(result.history) - 1 - result.best_epoch >= settings.patience


def _train_epoch(
    model: nn.Module,
    batches: Iterable[Batch],
    optimizer: torch.optim.Optimizer,
    settings: TrainSettings,
    device: torch.device,
) -> float:
    model.train()
    amp = device.type == "cuda"
    rng = np.random.default_rng(int(torch.randint(2**62, (1,)).item()))
    total, count = 0.0, 0
    for inputs, labels in batches:
        inputs = tuple(x.to(device, non_blocking=True) for x in inputs)
        labels = labels.to(device, non_blocking=True)
        keep, order = 1.0, torch.arange(len(labels), device=device)
        if settings.mixup > 0:
            keep = float(rng.beta(settings.mixup, settings.mixup))
            order = torch.as_tensor(rng.permutation(len(labels)), device=device)
            inputs = tuple(keep * x + (1 - keep) * x[order] for x in inputs)
        with torch.autocast(device.type, torch.bfloat16, enabled=amp):
            scores = model(*inputs)
            loss = keep * _loss(scores, labels, settings)
            if keep < 1:
                loss = loss + (1 - keep) * _loss(scores, labels[order], settings)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()
        total += float(loss.detach()) * len(labels)
        count += len(labels)
    return total / max(count, 1)


def _loss(scores: Tensor, labels: Tensor, settings: TrainSettings) -> Tensor:
    """Of scores [B, C, ...] with labels [B, ...]; of several classifiers, [B, C, K], the mean of their losses."""
    if scores.ndim > labels.ndim + 1:
        labels = labels.unsqueeze(-1).expand(*labels.shape, scores.shape[-1])
    return functional.cross_entropy(scores.float(), labels, label_smoothing=settings.label_smoothing)


def _snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
