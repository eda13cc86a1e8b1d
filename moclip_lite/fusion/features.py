"""Tables of cached features: batches for training a head, and the scores of a trained one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..parallel.ranks import SINGLE, Share
from ..training.batches import accuracy_and_loss, batches, count_batches
from ..training.classification import Batch
from .base import Head
from .tables import FeatureTable, Split

__all__ = ["HeadFeed", "head_scores", "middle_frame"]

_SCORE_BATCH: Final = 1024


class HeadFeed:
    """Batches of cached features for the training of a head; all features are in memory.

    Args:
        head: decides whether features are averaged beforehand.
        train, val: features of the training and validation clips.
        batch: clips in a batch, over all processes.
        seed: of the order of clips.
        part: this process' part of each batch.
        further: more splits, for heads that choose their hyperparameters on several.
    """

    def __init__(
        self,
        head: Head,
        train: FeatureTable,
        val: FeatureTable,
        batch: int,
        seed: int,
        part: Share = SINGLE,
        further: Sequence[Split] = (),
    ) -> None:
        self._train, self._val = _as_seen(head, train), _as_seen(head, val)
        self._one_frame = middle_frame(val)
        self._further = [Split(_as_seen(head, s.train), _as_seen(head, s.held_out)) for s in further]
        self._batch, self._seed, self._part = batch, seed, part

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Of the training clips, int64 [N]."""
        return np.asarray(self._train.labels.numpy(), np.int64)

    @property
    def steps(self) -> int:
        """Batches of a pass over the training clips."""
        return count_batches(len(self._train.labels), self._batch, 2 * self._part.world)

    def of_all(self, head: Head, table: FeatureTable) -> HeadFeed:
        """A feed of these clips in place of the training clips."""
        return HeadFeed(head, table, table, self._batch, self._seed, self._part)

    def train_batches(self, epoch: int) -> Iterator[Batch]:
        """Each training clip once, in an order that depends on (seed, epoch)."""
        rng = np.random.default_rng([self._seed, epoch])
        order = rng.permutation(len(self._train.labels))
        for chosen in batches(order, self._batch, 2 * self._part.world):
            index = torch.from_numpy(self._part.even(chosen))
            yield (self._train.motion[index], self._train.appearance[index]), self._train.labels[index]

    def validate(self, model: nn.Module) -> tuple[float, float]:
        """Calibrate the head to the validation clips; return their top-1 in percent and cross-entropy."""
        head, val = cast(Head, model), self._val
        head.calibrate(val.motion, val.appearance, val.labels)
        return accuracy_and_loss(head_scores(head, val), val.labels.numpy())

    def val_scores(self, head: Head) -> list[list[float]]:
        """Class probabilities of the validation clips."""
        return _plain(head_scores(head, self._val))

    def val_one_frame(self, head: Head) -> list[list[float]]:
        """The same with the middle frame alone; [] where there is one frame only."""
        return [] if self._one_frame is None else _plain(head_scores(head, self._one_frame))

    def refit(self, head: Head) -> None:
        """Fit a head in closed form again, to the training clips of this feed."""
        head.refit(self._train)

    def solve(self, head: Head) -> float:
        """Fit a head in closed form; return the cross-entropy on the training clips."""
        head.solve([Split(self._train, self._val), *self._further])
        return accuracy_and_loss(head_scores(head, self._train), self._train.labels.numpy())[1]


def middle_frame(table: FeatureTable) -> FeatureTable | None:
    """The table with the middle frame alone; None where there is one frame only."""
    frames = table.appearance.shape[1] if table.appearance.ndim == 3 else 1
    if frames == 1:
        return None
    return replace(table, appearance=table.appearance[:, frames // 2 : frames // 2 + 1])


def _plain(scores: npt.NDArray[np.float32]) -> list[list[float]]:
    return [[round(float(value), 6) for value in row] for row in scores]


def _as_seen(head: Head, table: FeatureTable) -> FeatureTable:
    """The table itself, or its average for a head that looks at that only."""
    return table if head.tokens else table.pooled()


@torch.inference_mode()
def head_scores(head: Head, table: FeatureTable) -> npt.NDArray[np.float32]:
    """Class probabilities, float32 [N, C]."""
    head.eval()
    device = head.motion_norm.mean.device
    table = _as_seen(head, table)
    batch_scores = []
    for start in range(0, len(table.labels), _SCORE_BATCH):
        rows = slice(start, start + _SCORE_BATCH)
        scores = head(table.motion[rows].to(device), table.appearance[rows].to(device))
        batch_scores.append(scores.softmax(dim=1).cpu())
    return np.asarray(torch.cat(batch_scores).numpy(), np.float32)
