"""The training loop of all networks: schedule, steps, validation, early stopping, saving and resuming.

What differs between trainings is a :class:`Task`. An interrupted training continues from its saved state to
the same result. Under torchrun each process computes its part of every batch.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from ..errors import TrainingDiverged
from ..parallel.ddp import in_parallel
from ..parallel.ranks import add_up, share, share_weights, wait_for_all
from .averaging import AveragedWeights
from .device import repeatable, seed_all
from .saved_state import load_state, save_state

__all__ = ["FitResult", "LoopSettings", "Row", "StepLoss", "Task", "TrainingProgress", "train"]

BatchT = TypeVar("BatchT")
Row = dict[str, float]
StepLoss = tuple[float, int]
"""Loss of a step, and the number of clips that it is the mean of."""


class Task(ABC, Generic[BatchT]):
    """What a training minimises, on which batches, and what it does besides.

    Attributes:
        network: the loss is computed through it, or through its data-parallel twin; its weights are saved.
        validates: whether rows have "val_loss" and "accuracy"; the weights of the epoch with the least
            "val_loss" are then kept, else those of the last epoch.
    """

    network: nn.Module
    validates: bool = False

    @abstractmethod
    def optimizer(self) -> torch.optim.Optimizer:
        """Create the optimizer; see :func:`moclip_lite.training.optimizer.create_optimizer`."""

    @abstractmethod
    def rate(self, epoch: int, step: int) -> float:
        """Learning rate of a step of an epoch."""

    @abstractmethod
    def batches(self, epoch: int, first: int) -> Iterable[BatchT]:
        """Batches of an epoch from step `first` on; they depend on the epoch and torch's seed only."""

    @abstractmethod
    def loss(self, network: nn.Module, batch: BatchT) -> tuple[Tensor, int]:
        """Loss of a batch, computed through `network`, and the number of clips that it is the mean of."""

    @abstractmethod
    def summary(self, losses: Sequence[StepLoss]) -> Row:
        """Row of an epoch, "loss" included; equal on all processes. The network is in evaluation mode."""

    def after_step(self, epoch: int, step: int, loss: float) -> None:
        """Called after each step of the optimizer."""

    def notes(self) -> dict[str, Any]:
        """Plain values to save with the state of the training."""
        return {}

    def restore(self, notes: Mapping[str, Any]) -> None:
        """Take back what :meth:`notes` returned."""


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """Length of a training, and when its state is saved.

    Attributes:
        epochs: maximum number of epochs.
        seed: seed of torch in each epoch.
        max_grad_norm: limit of the gradient's norm.
        patience: epochs without a better validation loss before stopping; 0 never stops early.
        save_at_epoch: least seconds between saves at the end of an epoch.
        save_within_epoch: least seconds between saves within an epoch; infinite where :meth:`Task.batches`
            depends on torch's seed, so that a training resumes at the beginning of an epoch.
        average_steps: steps over which weights are averaged, exponentially, or fewer at the beginning; the
            averaged weights are validated and kept. Below 2 there is no average.
    """

    epochs: int
    seed: int
    max_grad_norm: float = math.inf
    patience: int = 0
    save_at_epoch: float = 0.0
    save_within_epoch: float = math.inf
    average_steps: float = 0.0


def _ignore(row: Row) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class TrainingProgress:
    """Where the state of a training is kept, and who is told of its epochs.

    Attributes:
        checkpoint: file of the training's state; if it exists and has this fingerprint, training continues
            from it. None keeps none.
        fingerprint: identifies what is trained on what.
        on_epoch: called with the row of each epoch.
        on_earlier: called first, with the row of each epoch of the attempts that it continues from.
    """

    checkpoint: Path | None = None
    fingerprint: str = ""
    on_epoch: Callable[[Row], None] = _ignore
    on_earlier: Callable[[Row], None] = _ignore


@dataclass
class FitResult:
    """Result of a training.

    Attributes:
        best_epoch: epoch of the least validation loss, whose weights are kept; -1 without validation.
        best_accuracy, best_loss: validation figures of that epoch.
        history: a row per epoch.
        seconds: duration, without interruptions.
        val_scores: class probabilities of the validation clips by weights that were not fitted to them, where
            the weights that are kept were; else empty.
        val_one_frame: the same of a head that sees the middle frame alone;
            empty where there is one frame only.
    """

    best_epoch: int = -1
    best_accuracy: float = -1.0
    best_loss: float = math.inf
    history: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    val_scores: list[list[float]] = field(default_factory=list)
    val_one_frame: list[list[float]] = field(default_factory=list)


def train(
    task: Task[BatchT],
    settings: LoopSettings,
    *,
    device: torch.device,
    progress: TrainingProgress | None = None,
) -> FitResult:
    """Train the network of a task in place, and leave it in evaluation mode.

    Args:
        task: what to train.
        settings: length and saving.
        device: the network is moved there.
        progress: where its state is kept and who is told of epochs; None for neither.

    Raises:
        TrainingDiverged: the weights are not finite after an epoch.
    """
    progress = progress or TrainingProgress()
    with repeatable(device):
        training = _Training(task, settings, device, progress)
        training.resume()
        for row in training.result.history:
            progress.on_earlier(row)
        for epoch in range(len(training.result.history), settings.epochs):
            if training.stale():
                break
            progress.on_epoch(training.run_epoch(epoch))
        training.finish()
        return training.result


class _Training(Generic[BatchT]):
    """A training in progress: the network on its device, the optimizer, and the result so far."""

    def __init__(
        self, task: Task[BatchT], settings: LoopSettings, device: torch.device, progress: TrainingProgress
    ) -> None:
        self.task, self.settings, self.progress = task, settings, progress
        self.clock = self.saved = time.perf_counter()
        self.weights = task.network.to(device)
        self.network = in_parallel(self.weights, device)
        self.optimizer = task.optimizer()
        self.result = FitResult()
        self.best = _snapshot(self.weights) if task.validates else None
        self.average = (
            AveragedWeights(self.weights, settings.average_steps) if settings.average_steps >= 2 else None
        )
        self.losses: list[StepLoss] = []  # of the epoch in progress

    def resume(self) -> None:
        """Continue from the checkpoint if there is one of this training."""
        loaded = load_state(self.progress.checkpoint, self.progress.fingerprint, self.optimizer)
        if loaded is not None:
            notes, tensors = loaded
            self.result = FitResult(**notes["result"])
            self.losses = [(loss, size) for loss, size in notes["losses"]]
            self.task.restore(notes["task"])
            self.weights.load_state_dict(tensors["network"])
            if self.best is not None:
                self.best = {
                    name: tensors["best"][name].to(value.device) for name, value in self.best.items()
                }
            if self.average is not None:
                self.average.restore(tensors["average"], notes["averaged"])
        wait_for_all()  # every process has read the checkpoint before the first one overwrites it

    def stale(self) -> bool:
        """Whether the validation loss has not improved for `patience` epochs."""
        epochs, patience = len(self.result.history), self.settings.patience
        return 0 < patience <= epochs - 1 - self.result.best_epoch

    def run_epoch(self, epoch: int) -> Row:
        """Train an epoch, or the rest of it, and return its row.

        Raises:
            TrainingDiverged: the weights are not finite.
        """
        seed_all(self.settings.seed * 100_003 + epoch + share().rank * 2**40)
        self.network.train()
        for batch in self.task.batches(epoch, len(self.losses)):
            self._save_if_due(self.settings.save_within_epoch)
            self._step(epoch, len(self.losses), batch)
        self.weights.eval()
        self._refuse_divergence(epoch)
        rate = self.task.rate(epoch, max(0, len(self.losses) - 1))
        with self.average.inside(self.weights) if self.average is not None else nullcontext():
            row = {"epoch": epoch, **self.task.summary(self.losses), "lr": rate}
            self.losses = []
            self.result.history.append(row)
            if self.best is not None and row["val_loss"] < self.result.best_loss:
                self.result.best_epoch = epoch
                self.result.best_accuracy, self.result.best_loss = row["accuracy"], row["val_loss"]
                self.best = _snapshot(self.weights)
        self._save_if_due(self.settings.save_at_epoch)
        return row

    def _refuse_divergence(self, epoch: int) -> None:
        """Refuse weights that are not finite; the loss may be: norms use the batch's own statistics then.

        Raises:
            TrainingDiverged: there are such weights, in any process.
        """
        state = self.weights.state_dict()
        flawed = [name for name, value in state.items() if not bool(torch.isfinite(value).all())]
        if any(add_up((len(flawed),))):
            raise TrainingDiverged(
                f"the training diverged in epoch {epoch}: its weights are not finite numbers; "
                "lower the learning rate (lr)"
            )

    def _step(self, epoch: int, step: int, batch: BatchT) -> None:
        rate = self.task.rate(epoch, step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        loss, size = self.task.loss(self.network, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.settings.max_grad_norm < math.inf:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.max_grad_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.weights)
        self.losses.append((float(loss.detach()), size))
        self.task.after_step(epoch, step, self.losses[-1][0])

    def _save_if_due(self, interval: float) -> None:
        now = time.perf_counter()
        self.result.seconds, self.clock = self.result.seconds + now - self.clock, now
        if self.progress.checkpoint is None or not share().leads or now - self.saved < interval:
            return
        tensors = {"network": self.weights.state_dict()}
        if self.best is not None:
            tensors["best"] = self.best
        notes: dict[str, Any] = {
            "result": vars(self.result),
            "losses": self.losses,
            "task": self.task.notes(),
        }
        if self.average is not None:
            tensors["average"], notes["averaged"] = self.average.tensors, self.average.updates
        save_state(self.progress.checkpoint, self.progress.fingerprint, tensors, self.optimizer, notes)
        self.saved = now

    def finish(self) -> None:
        """Load the best weights, or without validation the averaged ones, and make all processes equal."""
        if self.best is not None:
            self.weights.load_state_dict(self.best)
        elif self.average is not None:
            self.weights.load_state_dict(self.average.tensors)
        share_weights(self.weights)
        self.weights.eval()


def _snapshot(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
