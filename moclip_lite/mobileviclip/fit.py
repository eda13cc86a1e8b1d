"""Training on (clip, caption) pairs: one process, or several under torchrun, to be resumed at any time.

Defaults are the published schedule: AdamW 1e-5, betas (0.9, 0.98), weight decay 0.2, three epochs of which
one warms up, cosine; text tower frozen. Everything drawn comes from (seed, epoch, pair).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..errors import CheckpointError, DataError
from ..storage import read_tensors, write_tensors
from .contrastive import contrastive_loss
from .model import MobileViCLIP

__all__ = ["PairSource", "VideoTextResult", "VideoTextSettings", "fit_video_text"]

_SAVE_EVERY: Final = 60.0  # seconds; what an interruption may cost


class PairSource(Protocol):
    """Where pairs come from."""

    def __len__(self) -> int: ...

    def pair(self, index: int, rng: np.random.Generator) -> tuple[Tensor, str]:
        """Clip, float32 [T, 3, S, S] in 0..1, and caption; `rng` draws the augmentation.

        Raises:
            DataError: the clip can't be read.
        """

    def group(self, index: int) -> int:
        """Pairs of one group say the same."""


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


class _Step(nn.Module):
    """Loss of a batch, as one forward pass: what DDP wraps."""

    def __init__(self, model: MobileViCLIP, freeze_text: bool) -> None:
        super().__init__()
        self.model, self.freeze_text = model, freeze_text

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
        checkpoint: written now and then and at the end of an epoch; if it exists with this
            fingerprint, training goes on from it to the same result.
        fingerprint: says what is being trained on what.
        on_step: told (steps done, steps in all, loss).

    Raises:
        DataError: fewer than two pairs, or none of a stretch can be read.
        ValueError: a folded model.
    """
    if model.folded:
        raise ValueError("a folded model can't be trained; take the training form")
    world, rank = _place()
    batch = min(settings.batch, len(pairs) // world)
    if batch < 1 or len(pairs) < 2:
        raise DataError(f"{len(pairs)} pairs are too few to tell apart in {world} process(es)")
    steps = len(pairs) // (batch * world)
    model.to(device)
    model.text.requires_grad_(not settings.freeze_text)
    model.video.grad_checkpointing = settings.grad_checkpointing
    optimizer = _optimizer(model, settings)
    result = VideoTextResult()
    done = _resume(checkpoint, fingerprint, model, optimizer, result)
    step_loss: nn.Module = _Step(model, settings.freeze_text)
    if world > 1:
        step_loss = DistributedDataParallel(step_loss)
    saved, total = time.perf_counter(), steps * settings.epochs
    for number, (clips, texts, groups) in _batches(pairs, settings, batch, steps, done, result):
        _mode(model, settings)
        rate = _rate(settings, number, steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = step_loss(clips.to(device), model.tokenize(texts).to(device), groups.to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        result.losses.append(float(loss.detach()))
        on_step(number + 1, total, result.losses[-1])
        last = (number + 1) % steps == 0
        if last:
            row = {"epoch": number // steps, "loss": float(np.mean(result.losses)), "lr": rate}
            result.history.append({**row, "temperature": float(model.temperature.detach())})
            result.losses = []
        due = last or time.perf_counter() - saved >= _SAVE_EVERY
        if checkpoint is not None and rank == 0 and due:
            _save(checkpoint, fingerprint, model, optimizer, result, number + 1)
            saved = time.perf_counter()
    model.eval()
    return result


def _place() -> tuple[int, int]:
    """(processes, which one this is)."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_world_size(), dist.get_rank()
    return 1, 0


def _mode(model: MobileViCLIP, settings: VideoTextSettings) -> None:
    model.train()
    if settings.freeze_text:
        model.text.eval()  # norms' statistics too


def _optimizer(model: MobileViCLIP, settings: VideoTextSettings) -> torch.optim.AdamW:
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    # Layer scales and temporal positions are vectors in the shape of pictures.
    plain = [p for name, p in named if p.numel() == max(p.shape, default=1) or "temporal_embedding" in name]
    spared = {id(p) for p in plain}
    groups = [
        {"params": [p for _, p in named if id(p) not in spared], "weight_decay": settings.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas)


def _rate(settings: VideoTextSettings, number: int, steps: int) -> float:
    """Linear warm-up, then half a cosine, by step."""
    warm = settings.warmup * steps
    if number < warm:
        return settings.lr * (number + 1) / max(warm, 1)
    share = (number - warm) / max(1.0, settings.epochs * steps - warm)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * share))


Batch = tuple[Tensor, list[str], Tensor]


def _batches(
    pairs: PairSource, settings: VideoTextSettings, batch: int, steps: int, done: int, result: VideoTextResult
) -> Iterator[tuple[int, Batch]]:
    """(step, its batch) from step `done` on, read ahead by threads."""
    world, rank = _place()

    def indices(number: int) -> list[int]:
        epoch, place = divmod(number, steps)
        order = np.random.default_rng((settings.seed, epoch)).permutation(len(pairs))
        first = (place * world + rank) * batch
        return [int(i) for i in order[first : first + batch]]

    def submit(number: int) -> list[Future[tuple[Tensor, str, int]]]:
        epoch = number // steps
        return [pool.submit(_read, pairs, i, (settings.seed, epoch, i), result) for i in indices(number)]

    total = steps * settings.epochs
    with ThreadPoolExecutor(max(1, settings.threads)) as pool:
        try:
            ahead = submit(done) if done < total else []
            for number in range(done, total):
                ready, ahead = ahead, submit(number + 1) if number + 1 < total else []
                rows = [future.result() for future in ready]
                groups = torch.tensor([group for _, _, group in rows])
                yield (
                    number,
                    (torch.stack([clip for clip, _, _ in rows]), [text for _, text, _ in rows], groups),
                )
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _read(
    pairs: PairSource, index: int, seed: tuple[int, int, int], result: VideoTextResult
) -> tuple[Tensor, str, int]:
    """A pair; one that can't be read is noted and the next stands in, so that batches keep their size."""
    for other in range(index, index + min(len(pairs), 16)):
        other %= len(pairs)
        try:
            clip, text = pairs.pair(other, np.random.default_rng(seed))
            return clip, text, pairs.group(other)
        except DataError as error:
            result.unread[other] = str(error)
    raise DataError(f"16 clips in a row can't be read, the first because: {result.unread[index]}")


def _save(
    path: Path,
    fingerprint: str,
    model: MobileViCLIP,
    optimizer: torch.optim.Optimizer,
    result: VideoTextResult,
    done: int,
) -> None:
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    note = {"done": done, "history": result.history, "losses": result.losses, "unread": result.unread}
    arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
    write_tensors(path, arrays, {"fingerprint": fingerprint, "note": json.dumps(note)})


def _resume(
    path: Path | None,
    fingerprint: str,
    model: MobileViCLIP,
    optimizer: torch.optim.Optimizer,
    result: VideoTextResult,
) -> int:
    """Steps done before; 0 if there is no checkpoint of this training."""
    if path is None or not path.exists():
        return 0
    try:
        arrays, metadata = read_tensors(path)
        if metadata.get("fingerprint") != fingerprint:
            return 0
        note = json.loads(metadata["note"])
        done, history = int(note["done"]), [dict(row) for row in note["history"]]
        losses = [float(loss) for loss in note["losses"]]
        unread = {int(index): str(reason) for index, reason in note["unread"].items()}
    except (CheckpointError, AttributeError, KeyError, TypeError, ValueError):
        return 0  # damaged or foreign: train from the start
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
    model.load_state_dict({n.removeprefix("model."): v for n, v in tensors.items() if n.startswith("model.")})
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, entry = name.split(".", 2)
            state.setdefault(int(index), {})[entry] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    result.history, result.unread, result.losses = history, unread, losses
    return done
