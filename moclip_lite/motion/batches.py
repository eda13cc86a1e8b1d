"""Training batches of motion: planned for an epoch, then read in this process or in others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler

from ..datasets import Clip
from ..parallel.ranks import SINGLE, Share
from ..sampling import choose_segments
from ..training.batches import (
    ShuffleBuffer,
    accuracy_and_loss,
    balanced_order,
    batches,
    count_batches,
    uneven,
)
from ..training.classification import Batch
from ..training.settings import Balance, TrainSettings
from .augment import Draws, RandomView
from .network import MotionNet
from .scores import motion_scores
from .settings import MotionSettings, ViewSettings
from .store import MotionStore

__all__ = ["Batches", "MotionFeed"]

_ENCODINGS: Final = 7  # marks the random numbers of encodings: those of views do not depend on them
_VAL_WINDOWS: Final = 8  # of a validation clip; more change its loss little


@dataclass(frozen=True)
class _Plan:
    """A batch before it is read: its clips, their encodings and windows, and parameters of their views."""

    clips: npt.NDArray[np.int64]
    encodings: npt.NDArray[np.int64]
    windows: npt.NDArray[np.int64]
    draws: Draws


class _BatchReader(Dataset[Batch]):
    """Reads planned batches.

    It holds no tensors: torch moves those of a dataset to shared memory when it starts loaders, and arrays
    that shared their memory are then left without it.
    """

    def __init__(
        self, store: MotionStore, clips: Sequence[Clip], targets: npt.NDArray[np.int64], view: RandomView
    ) -> None:
        self._store, self._clips, self._targets, self._view = store, clips, targets, view

    def __getitem__(self, plan: _Plan) -> Batch:
        windows = [
            self._store.motion(self._clips[clip], encoding)[chosen]
            for clip, encoding, chosen in zip(plan.clips, plan.encodings.tolist(), plan.windows, strict=True)
        ]
        motion = self._view.apply(torch.from_numpy(np.stack(windows)).float(), plan.draws)
        return (motion,), torch.from_numpy(self._targets[plan.clips])


class _Epoch(Sampler[_Plan]):
    """Plans of the current epoch, for workers that last for the whole training."""

    def __init__(self) -> None:
        self.plans: list[_Plan] = []

    def __iter__(self) -> Iterator[_Plan]:
        return iter(self.plans)

    def __len__(self) -> int:
        return len(self.plans)


@dataclass(frozen=True)
class Batches:
    """How batches are drawn.

    Attributes:
        view: random views of training clips.
        segments: windows drawn per clip.
        size: clips in a batch, over all processes.
        seed: of the order of clips, windows and views.
        balance: "classes" draws equally many clips of each class, "auto" does where classes are uneven.
    """

    view: RandomView
    segments: int
    size: int
    seed: int
    balance: Balance = "none"

    @classmethod
    def of(cls, motion: MotionSettings, training: TrainSettings, seed: int) -> Batches:
        """As the settings of an experiment say."""
        view = RandomView(flip=motion.flip, min_side=motion.min_side, speed=motion.speed)
        segments = min(motion.train_segments, motion.segments)
        return cls(view, segments, training.batch, seed, training.balance)


class MotionFeed:
    """Random encodings, windows and views of the training clips; fixed views of validation's first encoding.

    Attributes:
        balanced: whether equally many clips of each class are drawn.

    Args:
        store: motion by clip.
        train, val: clips.
        labels: class names in the order of their numbers.
        batches: how batches are drawn.
        part: this process' part of each batch.
        loaders: processes that read batches ahead; with 0 this process reads them. The batches are the same.
        shuffling: of training clips in shards, whose motion is not all in memory.
    """

    def __init__(
        self,
        store: MotionStore,
        train: Sequence[Clip],
        val: Sequence[Clip],
        labels: Sequence[str],
        batches: Batches,
        *,
        part: Share = SINGLE,
        loaders: int = 0,
        shuffling: ShuffleBuffer | None = None,
    ) -> None:
        number = {label: i for i, label in enumerate(labels)}
        self._store, self._train, self._val = store, list(train), list(val)
        self._targets = np.array([number[clip.label] for clip in train])
        self._val_targets = np.array([number[clip.label] for clip in val])
        self._batches, self._part, self._shuffling = batches, part, shuffling
        balance = batches.balance
        self.balanced = balance == "classes" or (balance == "auto" and uneven(self._targets))
        self._epoch = _Epoch()
        reading = store.divided(loaders + 1) if loaders else store
        self._reader = _BatchReader(reading, self._train, self._targets, batches.view)
        self._loader = self._data_loader(loaders) if loaders else None

    def _data_loader(self, loaders: int) -> DataLoader[Batch]:
        return DataLoader(
            self._reader,
            batch_size=None,  # a plan is a batch
            sampler=self._epoch,
            num_workers=loaders,
            persistent_workers=True,
            multiprocessing_context="spawn",  # not fork: libav and torch have threads
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(
                self._batches.seed
            ),  # not the one that dropout draws from
        )

    @property
    def steps(self) -> int:
        """Batches of a pass over the training clips."""
        return count_batches(len(self._train), self._batches.size, 2 * self._part.world)

    def train_batches(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Batches with each training clip once, or balanced; order and views depend on (seed, epoch)."""
        self._epoch.plans = list(self._plan(epoch))[first:]
        yield from self._loader or (self._reader[plan] for plan in self._epoch.plans)

    def _plan(self, epoch: int) -> Iterator[_Plan]:
        """Plans of the epoch: drawn for whole batches, then reduced to this process' part."""
        drawn = self._batches
        rng = np.random.default_rng([drawn.seed, epoch])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        available = self._store.segments
        if self._shuffling is None:
            order = rng.permutation(len(self._train))
        else:
            order = self._shuffling.order(drawn.size, rng)
        encodings = self._draw_encodings(epoch)
        if self.balanced:
            order = balanced_order(self._targets, rng)
        for clips in batches(order, drawn.size, 2 * self._part.world):
            windows = np.stack([choose_segments(available, drawn.segments, rng) for _ in clips])
            draws = drawn.view.draw(len(clips), generator).of(self._part)
            own = self._part.even(clips)
            yield _Plan(own, encodings[own], self._part.even(windows), draws)

    def _draw_encodings(self, epoch: int) -> npt.NDArray[np.int64]:
        """An encoding of each training clip for an epoch; int64 [clips]."""
        counts = np.array([self._store.encodings(clip) for clip in self._train])
        return np.random.default_rng([self._batches.seed, epoch, _ENCODINGS]).integers(counts)

    def validate(self, model: nn.Module) -> tuple[float, float]:
        """(top-1 in percent, cross-entropy) of one view per validation clip; all classes count alike."""
        net = cast(MotionNet, model)
        device = next(net.parameters()).device
        view = ViewSettings(segments=min(_VAL_WINDOWS, self._store.segments), crops=1, flips=1)
        _, scores = motion_scores(net, self._store, self._val, view, device)
        return accuracy_and_loss(scores, self._val_targets, macro=True)
