"""Tables of cached features: batches for training a head, and the scores of a trained one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..parallel.ranks import SINGLE, Share
from ..training.batches import accuracy_and_loss, batches, count_batches
from ..training.classification import Batch
from .heads.base import Head
from .streamed import StreamedTable
from .tables import FeatureTable, Split, Table

__all__ = ["HeadFeed", "head_scores", "one_frame_scores"]

_SCORE_BATCH: Final = 1024
_TableT = TypeVar("_TableT", bound=Table)


class HeadFeed:
    """Batches of cached features for the training of a head, from memory or streamed through a buffer.

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
        train: FeatureTable | StreamedTable,
        val: FeatureTable | StreamedTable,
        batch: int,
        seed: int,
        part: Share = SINGLE,
        further: Sequence[Split] = (),
    ) -> None:
        self._train: Table = _as_seen(head, train)
        seen = _as_seen(head, val)
        self._val: Table = seen.held() if isinstance(seen, StreamedTable) else seen
        self._frames = val
        self._further = list(further)
        self._batch, self._seed, self._part = batch, seed, part

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Of the training clips, int64 [N]."""
        return np.asarray(self._train.labels.numpy(), np.int64)

    @property
    def steps(self) -> int:
        """Batches of a pass over the training clips."""
        return count_batches(len(self._train.labels), self._batch, 2 * self._part.world)

    def of_all(self, head: Head, table: FeatureTable | StreamedTable) -> HeadFeed:
        """A feed of these clips in place of the training clips."""
        return HeadFeed(head, table, table, self._batch, self._seed, self._part)

    def train_batches(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Each training clip once, in an order by (seed, epoch); from batch number `first` on."""
        order = self._train.order(np.random.default_rng([self._seed, epoch]), self._batch)
        chosen = [self._part.even(rows) for rows in batches(order, self._batch, 2 * self._part.world)]
        for table in self._train.batches(chosen, first):
            yield (table.motion, table.appearance), table.labels

    def validate(self, model: nn.Module) -> tuple[float, float]:
        """Calibrate the head to the validation clips; return their top-1 in percent and cross-entropy."""
        head, val = cast(Head, model), self._val
        if isinstance(val, FeatureTable):
            head.calibrate(val.motion, val.appearance, val.labels)
        return accuracy_and_loss(head_scores(head, val), val.labels.numpy())

    def val_scores(self, head: Head) -> list[list[float]]:
        """Class probabilities of the validation clips."""
        return _plain(head_scores(head, self._val))

    def val_one_frame(self, head: Head) -> list[list[float]]:
        """The same with the middle frame alone; [] where there is one frame only."""
        scores = one_frame_scores(head, self._frames)
        return [] if scores is None else _plain(scores)

    def refit(self, head: Head) -> None:
        """Fit a head in closed form again, to the training clips of this feed."""
        head.refit(_in_memory(self._train))

    def solve(self, head: Head) -> float:
        """Fit a head in closed form; return the cross-entropy on the training clips."""
        further = [Split(_as_seen(head, s.train), _as_seen(head, s.held_out)) for s in self._further]
        head.solve([Split(_in_memory(self._train), _in_memory(self._val)), *further])
        return accuracy_and_loss(head_scores(head, self._train), self._train.labels.numpy())[1]


def one_frame_scores(head: Head, table: FeatureTable | StreamedTable) -> npt.NDArray[np.float32] | None:
    """Class probabilities with the middle frame alone, float32 [N, C]; None where there is one frame only."""
    middle = table.frames // 2
    if table.frames == 1:
        return None
    scores = [
        head_scores(head, replace(block, appearance=block.appearance[:, middle : middle + 1]))
        for block in table.blocks(_SCORE_BATCH)
    ]
    return np.concatenate(scores)


def _plain(scores: npt.NDArray[np.float32]) -> list[list[float]]:
    return [[round(float(value), 6) for value in row] for row in scores]


def _as_seen(head: Head, table: _TableT) -> _TableT:
    """The table itself, or its average for a head that looks at that only."""
    return table if head.tokens else cast(_TableT, table.pooled())


def _in_memory(table: Table) -> FeatureTable:
    assert isinstance(table, FeatureTable), "heads in closed form are refused for streamed features"
    return table


@torch.inference_mode()
def head_scores(head: Head, table: Table) -> npt.NDArray[np.float32]:
    """Class probabilities, float32 [N, C]."""
    head.eval()
    device = head.motion_norm.mean.device
    batch_scores = []
    for rows in _as_seen(head, table).blocks(_SCORE_BATCH):
        scores = head(rows.motion.to(device), rows.appearance.to(device))
        batch_scores.append(scores.softmax(dim=1).cpu())
    return np.asarray(torch.cat(batch_scores).numpy(), np.float32)
