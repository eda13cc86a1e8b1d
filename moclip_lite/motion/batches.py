"""Training batches of motion: planned for the epoch, then put together here or in other processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from ..datasets import Clip
from ..parallel.ranks import SINGLE, Share
from ..sampling import choose_segments
from ..training.batches import accuracy_and_loss, batches
from ..training.classification import Batch
from .augment import Draws, RandomView
from .network import MotionNet
from .scores import motion_scores
from .settings import ViewSettings
from .store import MotionStore

__all__ = ["MotionFeed"]


@dataclass(frozen=True)
class _Plan:
    """A batch before it is read: which clips, which of their windows, which views."""

    clips: npt.NDArray[np.int64]
    windows: npt.NDArray[np.int64]
    draws: Draws


class _Assembly(Dataset[Batch]):
    """Reads planned batches."""

    def __init__(self, store: MotionStore, clips: Sequence[Clip], targets: Tensor, view: RandomView) -> None:
        self._store, self._clips, self._targets, self._view = store, clips, targets, view

    def __getitem__(self, plan: _Plan) -> Batch:
        stack = [self._store.motion(self._clips[i])[w] for i, w in zip(plan.clips, plan.windows, strict=True)]
        motion = self._view.apply(torch.from_numpy(np.stack(stack)).float(), plan.draws)
        return (motion,), self._targets[torch.from_numpy(plan.clips)]


class _Epoch(Sampler[_Plan]):
    """The plans of one epoch after another, for workers that live as long as the training."""

    def __init__(self) -> None:
        self.plans: list[_Plan] = []

    def __iter__(self) -> Iterator[_Plan]:
        return iter(self.plans)

    def __len__(self) -> int:
        return len(self.plans)


class MotionFeed:
    """Random windows and views of the training clips; validation by fixed views.

    Args:
        store: motion by clip.
        train, val: clips.
        labels: class names in the order of their numbers.
        view: how training clips are varied.
        segments: windows drawn per clip.
        batch: clips in a batch, over all processes.
        seed: of order, windows and views.
        part: this process' part of each batch.
        loaders: processes that read batches ahead; 0 reads in this one. The batches are the same.
    """

    def __init__(
        self,
        store: MotionStore,
        train: Sequence[Clip],
        val: Sequence[Clip],
        labels: Sequence[str],
        *,
        view: RandomView,
        segments: int,
        batch: int,
        seed: int,
        part: Share = SINGLE,
        loaders: int = 0,
    ) -> None:
        number = {label: i for i, label in enumerate(labels)}
        self._store, self._train, self._val = store, list(train), list(val)
        targets = torch.tensor([number[clip.label] for clip in train])
        self._val_targets = np.array([number[clip.label] for clip in val])
        self._view, self._segments, self._batch = view, segments, batch
        self._seed, self._part = seed, part
        self._epoch = _Epoch()
        self._assembly = _Assembly(
            store.divided(loaders + 1) if loaders else store, self._train, targets, view
        )
        self._loader = self._workers(loaders) if loaders else None

    def _workers(self, loaders: int) -> DataLoader[Batch]:
        return DataLoader(
            self._assembly,
            batch_size=None,  # a plan is a batch
            sampler=self._epoch,
            num_workers=loaders,
            persistent_workers=True,
            multiprocessing_context="spawn",  # not fork: libav and torch have threads
            pin_memory=torch.cuda.is_available(),
        )

    def train_batches(self, epoch: int) -> Iterator[Batch]:
        """Each training clip once, in an order and with views that depend on (seed, epoch)."""
        self._epoch.plans = list(self._plan(epoch))
        yield from self._loader or (self._assembly[plan] for plan in self._epoch.plans)

    def _plan(self, epoch: int) -> Iterator[_Plan]:
        """Everything random, drawn for the whole batch; then this process' part of it."""
        rng = np.random.default_rng([self._seed, epoch])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        kept = self._store.segments
        order = rng.permutation(len(self._train))
        for chosen in batches(order, self._batch, 2 * self._part.world):
            windows = np.stack([choose_segments(kept, self._segments, rng) for _ in chosen])
            draws = self._view.draw(len(chosen), generator).of(self._part)
            yield _Plan(self._part.even(chosen), self._part.even(windows), draws)

    def validate(self, model: nn.Module) -> tuple[float, float]:
        """Scores of one whole-frame view per validation clip."""
        net = cast(MotionNet, model)
        device = next(net.parameters()).device
        _, scores = motion_scores(
            net, self._store, self._val, ViewSettings(segments=0, crops=1, flips=1), device
        )
        return accuracy_and_loss(scores, self._val_targets)
