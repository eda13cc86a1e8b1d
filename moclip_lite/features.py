"""From cached motion to scores: the store, the training feeds and multi-view testing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .augment import views
from .cache import FeatureCache
from .clips import MotionSpec
from .datasets import Clip
from .distributed import SINGLE, Share
from .extract import load_motion
from .fusion.base import Head, pool_tokens
from .motion_net import MotionNet
from .sampling import choose_segments
from .training import Batch

__all__ = [
    "FeatureTable",
    "HeadFeed",
    "MotionStore",
    "Views",
    "batch_motion_scores",
    "batches",
    "head_scores",
    "judge",
    "motion_scores",
]

_BUDGET: Final = 2 << 30
_EVAL_BATCH: Final = 32
_HEAD_BATCH: Final = 1024


class MotionStore:
    """Motion tensors by clip name, read from the cache; kept in memory up to a budget.

    An entry that is missing or damaged is computed again.
    """

    def __init__(
        self, cache: FeatureCache, keys: Mapping[str, str], spec: MotionSpec, budget: int = _BUDGET
    ) -> None:
        self._cache, self._keys, self._spec = cache, keys, spec
        self._room = budget
        self._held: dict[str, tuple[npt.NDArray[np.float16], bool]] = {}

    @property
    def segments(self) -> int:
        """Windows kept per clip."""
        return self._spec.segments

    def divided(self, parts: int) -> MotionStore:
        """A store for one of several processes, with its share of the memory."""
        return MotionStore(self._cache, self._keys, self._spec, self._room // parts)

    def __contains__(self, clip: Clip) -> bool:
        return clip.name in self._keys

    def motion(self, clip: Clip) -> npt.NDArray[np.float16]:
        """float16 [segments, frames, 2, rows, columns]."""
        return self._entry(clip)[0]

    def empty(self, clip: Clip) -> bool:
        """Whether the clip has no motion at all."""
        return self._entry(clip)[1]

    def _entry(self, clip: Clip) -> tuple[npt.NDArray[np.float16], bool]:
        if clip.name in self._held:
            return self._held[clip.name]
        entry = load_motion(clip.path, self._spec, self._cache, self._keys[clip.name])
        if entry[0].nbytes <= self._room:
            self._room -= entry[0].nbytes
            self._held[clip.name] = entry
        return entry


@dataclass(frozen=True)
class Views:
    """Test views per clip: `segments` windows (0 for all), `crops` 1, 3 or 5, `flips` 1 or 2."""

    segments: int = 0
    crops: int = 3
    flips: int = 2


@torch.inference_mode()
def batch_motion_scores(
    model: MotionNet, motion: npt.NDArray[np.float16], test: Views, device: torch.device
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Multi-view testing of [B, segments, frames, 2, rows, columns].

    Returns:
        (a token per window, [B, T, D], class probabilities [B, C]), each the mean over the views.
    """
    model.eval()
    if test.segments:
        motion = motion[:, choose_segments(motion.shape[1], test.segments)]
    batch = torch.from_numpy(motion).to(device).float()
    seen = [model.tokens(view) for view in views(batch, test.crops, test.flips)]
    scores = torch.stack([model.classifier(tokens.mean(dim=1)).softmax(dim=1) for tokens in seen])
    return torch.stack(seen).mean(dim=0).cpu().numpy(), scores.mean(dim=0).cpu().numpy()


def motion_scores(
    model: MotionNet, store: MotionStore, clips: Sequence[Clip], test: Views, device: torch.device
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The same of clips, [N, T, D] and [N, C]; the same clips give the same numbers."""
    parts = []
    for start in range(0, len(clips), _EVAL_BATCH):
        stack = np.stack([store.motion(clip) for clip in clips[start : start + _EVAL_BATCH]])
        parts.append(batch_motion_scores(model, stack, test, device))
    features, scores = zip(*parts, strict=True)
    return np.concatenate(features), np.concatenate(scores)


def batches(order: npt.NDArray[np.int64], size: int, least: int = 2) -> Iterator[npt.NDArray[np.int64]]:
    """Cut into batches; a last one below `least` is left out, BatchNorm can't train on one clip."""
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        if len(chosen) >= least or len(order) == 1:
            yield chosen


def judge(scores: npt.NDArray[np.float32], targets: npt.NDArray[np.int64]) -> tuple[float, float]:
    """(top-1 in percent, cross-entropy) of class probabilities."""
    of_target = scores[np.arange(len(targets)), targets].astype(np.float64)
    accuracy = 100 * float((scores.argmax(axis=1) == targets).mean())
    return accuracy, float(-np.log(np.maximum(of_target, 1e-12)).mean())


@dataclass(frozen=True)
class FeatureTable:
    """Cached features of some clips.

    Attributes:
        motion: float32 [N, segments, Dm] or [N, Dm]; rows of clips without motion hold the training mean.
        appearance: float32 [N, frames, Da] or [N, Da].
        labels: int64 [N].
    """

    motion: Tensor
    appearance: Tensor
    labels: Tensor

    def for_head(self, head: Head) -> FeatureTable:
        """The table itself, or averaged over segments and frames where the head would do so each time."""
        if head.tokens:
            return self
        return FeatureTable(pool_tokens(self.motion), pool_tokens(self.appearance), self.labels)


class HeadFeed:
    """Batches of cached features for a head; everything is in memory."""

    def __init__(
        self, head: Head, train: FeatureTable, val: FeatureTable, batch: int, seed: int, part: Share = SINGLE
    ) -> None:
        self._train, self._val = train.for_head(head), val.for_head(head)
        self._batch, self._seed, self._part = batch, seed, part

    def train_batches(self, epoch: int) -> Iterator[Batch]:
        """Each training clip once, in an order that depends on (seed, epoch)."""
        rng = np.random.default_rng([self._seed, epoch])
        order = rng.permutation(len(self._train.labels))
        for chosen in batches(order, self._batch, 2 * self._part.world):
            index = torch.from_numpy(self._part.even(chosen))
            table = self._train
            yield (table.motion[index], table.appearance[index]), table.labels[index]

    def validate(self, model: nn.Module) -> tuple[float, float]:
        """On the validation clips, to which the head is calibrated first."""
        head, val = cast(Head, model), self._val
        head.calibrate(val.motion, val.appearance, val.labels)
        return judge(head_scores(head, val), val.labels.numpy())


@torch.inference_mode()
def head_scores(head: Head, table: FeatureTable) -> npt.NDArray[np.float32]:
    """Class probabilities, float32 [N, C]."""
    head.eval()
    device = next(head.parameters()).device
    table = table.for_head(head)
    parts = []
    for start in range(0, len(table.labels), _HEAD_BATCH):
        chosen = slice(start, start + _HEAD_BATCH)
        scores = head(table.motion[chosen].to(device), table.appearance[chosen].to(device))
        parts.append(scores.softmax(dim=1).cpu())
    return np.asarray(torch.cat(parts).numpy(), np.float32)
