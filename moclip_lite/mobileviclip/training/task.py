"""Video-text training as a task of the training loop."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from ...parallel.ddp import gather_notes
from ...parallel.ranks import share
from ...training.loop import LoopSettings, Row, StepLoss, Task, TrainingProgress, train
from ...training.optimizer import create_optimizer, warmup_cosine
from ..model import MobileViCLIP
from .batches import Batch, PairBatches, PairSource
from .loss import contrastive_loss
from .settings import VideoTextSettings

__all__ = ["VideoTextResult", "fit_video_text", "learning_rate"]

_SAVE_EVERY: Final = 60.0  # seconds within an epoch; at most so much work is lost by an interruption


@dataclass(frozen=True)
class VideoTextResult:
    """Result of a training.

    Attributes:
        history: a row per epoch: epoch, loss, temperature, lr.
        unread: index -> reason, for pairs that could not be read.
    """

    history: list[Row] = field(default_factory=list)
    unread: dict[int, str] = field(default_factory=dict)


def fit_video_text(
    model: MobileViCLIP,
    pairs: PairSource,
    settings: VideoTextSettings,
    *,
    device: torch.device,
    checkpoint: Path | None = None,
    fingerprint: str = "",
    on_step: Callable[[int, int, float], None] = lambda done, total, loss: None,
) -> VideoTextResult:
    """Train in place, in one process or in several under torchrun; the model is left in evaluation mode.

    Args:
        model: in training form.
        pairs: training pairs.
        settings: how to train.
        device: where to train.
        checkpoint: written from time to time and after each epoch; if it exists with this fingerprint and as
            many pairs per step of all processes, training continues from it to the same result.
        fingerprint: identifies what is trained on what.
        on_step: called with (steps done, total steps, loss).

    Raises:
        DataError: fewer than two pairs, or too many consecutive clips can't be read.
        ValueError: a folded model.
    """
    if model.folded:
        raise ValueError("a folded model can't be trained; take the training form")
    batches = PairBatches(pairs, settings.batch, share(), settings.seed, settings.threads, unread={})
    # Positions are counted in steps; with another number of pairs per step they mean something else.
    fingerprint = f"{fingerprint} {batches.pairs_per_step} pairs per step"
    loop = LoopSettings(epochs=settings.epochs, seed=settings.seed, save_within_epoch=_SAVE_EVERY)
    with closing(_VideoText(model, batches, settings, device, on_step)) as task:
        progress = TrainingProgress(checkpoint=checkpoint, fingerprint=fingerprint)
        result = train(task, loop, device=device, progress=progress)
    return VideoTextResult(result.history, batches.unread)


def learning_rate(settings: VideoTextSettings, step: int, steps: int) -> float:
    """Rate of a step, counted over all epochs, with `steps` steps per epoch."""
    return settings.lr * warmup_cosine(step, settings.warmup * steps, settings.epochs * steps)


class _BatchLoss(nn.Module):
    """Loss of a batch as one forward pass, which DistributedDataParallel can wrap."""

    def __init__(self, model: MobileViCLIP, freeze_text: bool) -> None:
        super().__init__()
        self.model, self.freeze_text = model, freeze_text

    def train(self, mode: bool = True) -> _BatchLoss:
        """Set the mode; a frozen text tower, whose norms' statistics must not change, stays unchanged."""
        super().train(mode)
        if self.freeze_text:
            self.model.text.eval()
        return self

    def forward(self, clips: Tensor, tokens: Tensor, groups: Tensor) -> Tensor:
        with torch.set_grad_enabled(not self.freeze_text and torch.is_grad_enabled()):
            text = self.model.encode_text(tokens)
        return contrastive_loss(self.model.video(clips), text, self.model.temperature, groups)


class _VideoText(Task[Batch]):
    """Contrastive loss on pairs; the temperature is clamped after each step."""

    def __init__(
        self,
        model: MobileViCLIP,
        pairs: PairBatches,
        settings: VideoTextSettings,
        device: torch.device,
        on_step: Callable[[int, int, float], None],
    ) -> None:
        self.model, self.pairs, self.settings = model, pairs, settings
        self.device, self.on_step = device, on_step
        self.total = pairs.steps * settings.epochs
        self.network = _BatchLoss(model, settings.freeze_text)
        self._stream: Generator[Batch, None, None] | None = None
        model.clamp_temperature()
        model.text.requires_grad_(not settings.freeze_text)
        model.video.grad_checkpointing = settings.grad_checkpointing

    def optimizer(self) -> torch.optim.Optimizer:
        def decay(name: str, parameter: nn.Parameter) -> float:
            # Layer scales and temporal embeddings are vectors with the number of dimensions of pictures.
            vector = parameter.numel() == max(parameter.shape, default=1) or "temporal_embedding" in name
            return 0.0 if vector else self.settings.weight_decay

        return create_optimizer(self.network, "adamw", decay=decay, betas=self.settings.betas)

    def rate(self, epoch: int, step: int) -> float:
        return learning_rate(self.settings, epoch * self.pairs.steps + step, self.pairs.steps)

    def batches(self, epoch: int, first: int) -> Iterator[Batch]:
        if self._stream is None:  # one stream for all epochs, so that clips are read ahead across their ends
            self._stream = self.pairs.between(epoch * self.pairs.steps + first, self.total)
        return islice(self._stream, self.pairs.steps - first)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        clips, texts, groups = batch
        tokens = self.model.tokenize(texts)
        loss: Tensor = network(clips.to(self.device), tokens.to(self.device), groups.to(self.device))
        return loss, len(texts)

    def after_step(self, epoch: int, step: int, loss: float) -> None:
        self.model.clamp_temperature()
        self.on_step(epoch * self.pairs.steps + step + 1, self.total, loss)

    def summary(self, losses: Sequence[StepLoss]) -> Row:
        for unread in gather_notes(dict(self.pairs.unread)):
            self.restore({"unread": unread})
        mean = float(np.mean([loss for loss, _ in losses]))
        return {"loss": mean, "temperature": float(self.model.temperature.detach())}

    def notes(self) -> dict[str, Any]:
        return {"unread": dict(self.pairs.unread)}

    def restore(self, notes: Mapping[str, Any]) -> None:
        self.pairs.unread.update({int(index): reason for index, reason in notes["unread"].items()})

    def close(self) -> None:
        """End the threads that read clips ahead."""
        if self._stream is not None:
            self._stream.close()
