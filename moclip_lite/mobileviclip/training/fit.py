"""Training on (clip, caption) pairs: one process, or several under torchrun, to be resumed at any time.

Defaults are the published schedule: AdamW 1e-5, betas (0.9, 0.98), weight decay 0.2, three epochs of which
one warms up, cosine; text tower frozen. Everything drawn comes from (seed, epoch, pair).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from ...parallel.ddp import gather_notes, in_parallel
from ...parallel.ranks import share, wait_for_all
from ...training.optimizer import (
    load_state,
    parameter_groups,
    save_state,
    warm_cosine,
)
from ..model import MobileViCLIP
from .batches import PairBatches, PairSource
from .loss import contrastive_loss

__all__ = ["VideoTextResult", "VideoTextSettings", "fit_video_text"]

_SAVE_EVERY: Final = 60.0  # seconds; what an interruption may cost


@dataclass(frozen=True, kw_only=True)
class VideoTextSettings:
    """How to train.

    Attributes:
        epochs: passes over the pairs.
        warmup: epochs in which the rate rises.
        batch: pairs per step and process.
        lr, betas, weight_decay: AdamW's; biases, norms, scales and the temperature are spared decay.
        freeze_text: train the video encoder and the temperature alone.
        grad_checkpointing: keep no activations within blocks: less memory, a third more time.
        threads: that read clips ahead.
        seed: of order and augmentation.
    """

    epochs: int = 3
    warmup: float = 1.0
    batch: int = 32
    lr: float = 1e-5
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.2
    freeze_text: bool = True
    grad_checkpointing: bool = False
    threads: int = 2
    seed: int = 0


@dataclass
class VideoTextResult:
    """What came out.

    Attributes:
        history: a row per epoch: epoch, loss, lr, temperature.
        unread: pairs that could not be read, and why.
        losses: of the steps of the epoch under way.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    unread: dict[int, str] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)

    def end_epoch(self, epoch: int, rate: float, temperature: float) -> None:
        """Put the epoch's losses into a row, and together what all processes could not read."""
        row = {"epoch": epoch, "loss": float(np.mean(self.losses)), "lr": rate, "temperature": temperature}
        self.history.append(row)
        self.losses = []
        for unread in gather_notes(dict(self.unread)):
            self.unread.update({int(index): reason for index, reason in unread.items()})


class _Step(nn.Module):
    """Loss of a batch, as one forward pass: what DDP wraps."""

    def __init__(self, model: MobileViCLIP, freeze_text: bool) -> None:
        super().__init__()
        self.model, self.freeze_text = model, freeze_text

    def train(self, mode: bool = True) -> _Step:
        """A frozen text tower stays in evaluation mode: its norms' statistics too."""
        super().train(mode)
        if self.freeze_text:
            self.model.text.eval()
        return self

    def forward(self, clips: Tensor, tokens: Tensor, groups: Tensor) -> Tensor:
        with torch.set_grad_enabled(not self.freeze_text and torch.is_grad_enabled()):
            text = self.model.encode_text(tokens)
        return contrastive_loss(self.model.video(clips), text, self.model.temperature, groups)


def fit_video_text(
    model: MobileViCLIP,
    pairs: PairSource,
    settings: VideoTextSettings,
    *,
    device: torch.device,
    checkpoint: Path | None = None,
    fingerprint: str = "",
    on_step: Callable[[int, int, float], None] = lambda step, total, loss: None,
) -> VideoTextResult:
    """Train in place; the model is left in evaluation mode.

    Args:
        model: in training form.
        pairs: what to learn.
        settings: how.
        device: where.
        checkpoint: written now and then and at the end of an epoch; if it exists with this fingerprint
            and as many pairs per step of all processes, training goes on from it to the same result;
            else it begins anew.
        fingerprint: says what is being trained on what.
        on_step: told (steps done, steps in all, loss).

    Raises:
        DataError: fewer than two pairs, or none of a stretch can be read.
        ValueError: a folded model.
    """
    if model.folded:
        raise ValueError("a folded model can't be trained; take the training form")
    part, result = share(), VideoTextResult()
    batches = PairBatches(pairs, settings.batch, part, settings.seed, settings.threads, unread=result.unread)
    model.to(device)
    model.clamp_temperature()
    model.text.requires_grad_(not settings.freeze_text)
    model.video.grad_checkpointing = settings.grad_checkpointing
    step_loss = in_parallel(_Step(model, settings.freeze_text), device)
    optimizer = _optimizer(model, settings)
    # Steps are counted in whole batches: a position in batches of another size means something else.
    fingerprint = f"{fingerprint} {batches.pairs_per_step} pairs per step"
    done = _resume(checkpoint, fingerprint, model, optimizer, result)
    wait_for_all()  # all have read it before the first of them writes it again
    saved, steps, total = time.perf_counter(), batches.steps, batches.steps * settings.epochs
    for number, (clips, texts, groups) in enumerate(batches.between(done, total), start=done):
        step_loss.train()
        rate = _rate(settings, number, steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = step_loss(clips.to(device), model.tokenize(texts).to(device), groups.to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        model.clamp_temperature()
        result.losses.append(float(loss.detach()))
        on_step(number + 1, total, result.losses[-1])
        last = (number + 1) % steps == 0
        if last:
            result.end_epoch(number // steps, rate, float(model.temperature.detach()))
        due = last or time.perf_counter() - saved >= _SAVE_EVERY
        if checkpoint is not None and part.leads and due:
            note = {"done": number + 1, **vars(result)}
            save_state(checkpoint, fingerprint, {"model": model.state_dict()}, optimizer, note)
            saved = time.perf_counter()
    model.eval()
    return result


def _optimizer(model: MobileViCLIP, settings: VideoTextSettings) -> torch.optim.AdamW:
    def options(name: str, parameter: nn.Parameter) -> dict[str, float]:
        # Layer scales and temporal positions are vectors in the shape of pictures.
        vector = parameter.numel() == max(parameter.shape, default=1) or "temporal_embedding" in name
        return {"weight_decay": 0.0 if vector else settings.weight_decay}

    return torch.optim.AdamW(parameter_groups(model, options), lr=settings.lr, betas=settings.betas)


def _rate(settings: VideoTextSettings, number: int, steps: int) -> float:
    """By step, not by epoch."""
    return settings.lr * warm_cosine(number, settings.warmup * steps, settings.epochs * steps)


def _resume(
    path: Path | None,
    fingerprint: str,
    model: MobileViCLIP,
    optimizer: torch.optim.Optimizer,
    result: VideoTextResult,
) -> int:
    """Steps done before; 0 if there is no checkpoint of this training."""
    resumed = load_state(path, fingerprint, optimizer, _parsed)
    if resumed is None:
        return 0
    (done, history, losses, unread), states = resumed
    model.load_state_dict(states["model"])
    result.history, result.losses = history, losses
    result.unread.update(unread)
    return done


def _parsed(note: Any) -> tuple[int, list[dict[str, float]], list[float], dict[int, str]]:
    unread = {int(index): str(reason) for index, reason in note["unread"].items()}
    losses = [float(loss) for loss in note["losses"]]
    return int(note["done"]), [dict(row) for row in note["history"]], losses, unread
