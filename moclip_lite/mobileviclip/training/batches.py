"""Batches of video-text pairs, read ahead by threads; the same batches for any number of processes."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor

from ...errors import DataError
from ...parallel.ranks import Share

__all__ = ["Batch", "PairBatches", "PairSource", "pairs_per_step"]

Groups = int | tuple[int, ...]
Row = tuple[Tensor, str, Groups]
Batch = tuple[Tensor, list[str], Tensor]
"""Clips [B, T, 3, S, S], captions, and groups int64 [B] or [B, K]."""
_MAX_UNREADABLE: Final = 16  # consecutive clips


class PairSource(Protocol):
    """Source of training pairs."""

    def __len__(self) -> int: ...

    def pair(self, index: int, rng: np.random.Generator) -> tuple[Tensor, str]:
        """Clip, float32 [T, 3, S, S] in 0..1, and caption; `rng` draws the augmentation.

        Raises:
            DataError: the clip can't be read.
        """

    def group(self, index: int) -> Groups:
        """Groups of a pair; pairs with an equal group are not negatives of each other."""


def pairs_per_step(pairs: int, batch: int, world: int) -> int:
    """Pairs in a batch of all processes: `batch` from each of `world`, or fewer if there are fewer pairs.

    Raises:
        DataError: too few pairs for a contrastive loss.
    """
    local = min(batch, pairs // world)
    if local < 1 or pairs < 2:
        raise DataError(f"{pairs} pairs are too few to train on in {world} process(es)")
    return local * world


@dataclass
class PairBatches:
    """Batches of this process. Order and augmentation depend on (seed, epoch, pair) only.

    Attributes:
        pairs: source of the pairs.
        batch: pairs of this process per step; reduced if there are fewer pairs.
        part: this process' share.
        seed: seed of order and augmentation.
        threads: number of reading threads.
        unread: index -> reason, for pairs that this process could not read.
    """

    pairs: PairSource
    batch: int
    part: Share
    seed: int
    threads: int
    unread: dict[int, str]

    def __post_init__(self) -> None:
        self.pairs_per_step = pairs_per_step(len(self.pairs), self.batch, self.part.world)
        """Pairs in a batch of all processes."""
        self.batch = self.pairs_per_step // self.part.world
        self.steps = len(self.pairs) // self.pairs_per_step
        """Steps of an epoch."""

    def between(self, first: int, last: int) -> Generator[Batch, None, None]:
        """Batches of the steps from `first` up to but not with `last`, counted over all epochs.

        Raises:
            DataError: too many consecutive clips can't be read.
        """
        with ThreadPoolExecutor(max(1, self.threads)) as pool:
            try:
                ahead = self._submit(pool, first) if first < last else []
                for step in range(first, last):
                    rows, ahead = ahead, self._submit(pool, step + 1) if step + 1 < last else []
                    clips, texts, groups = zip(*(row.result() for row in rows), strict=True)
                    yield torch.stack(clips), list(texts), torch.tensor(groups)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, pool: ThreadPoolExecutor, step: int) -> list[Future[Row]]:
        epoch, place = divmod(step, self.steps)
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.pairs))
        first = (place * self.part.world + self.part.rank) * self.batch
        indices = [int(i) for i in order[first : first + self.batch]]
        return [pool.submit(self._read, i, (self.seed, epoch, i)) for i in indices]

    def _read(self, index: int, seed: tuple[int, int, int]) -> Row:
        """Read a pair, or the next one that can be read, so that batches keep their size."""
        count = min(len(self.pairs), _MAX_UNREADABLE)
        for candidate in range(index, index + count):
            candidate %= len(self.pairs)
            try:
                clip, text = self.pairs.pair(candidate, np.random.default_rng(seed))
                return clip, text, self.pairs.group(candidate)
            except DataError as error:
                self.unread[candidate] = str(error)
        reason = self.unread[index]
        clips = f"all {count} clips" if count == len(self.pairs) else f"{count} consecutive clips"
        raise DataError(f"{clips} can't be read; the first: {reason}")
