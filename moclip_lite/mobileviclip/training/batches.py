"""Batches of pairs: the same ones whatever the processes, read ahead by threads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ...errors import DataError
from ...parallel.ranks import Share

__all__ = ["PairBatches", "PairSource", "pairs_per_step"]

Groups = int | tuple[int, ...]
Row = tuple[Tensor, str, Groups]
Batch = tuple[Tensor, list[str], Tensor]
_STAND_INS = 16  # clips in a row that may be unreadable


class PairSource(Protocol):
    """Where pairs come from."""

    def __len__(self) -> int: ...

    def pair(self, index: int, rng: np.random.Generator) -> tuple[Tensor, str]:
        """Clip, float32 [T, 3, S, S] in 0..1, and caption; `rng` draws the augmentation.

        Raises:
            DataError: the clip can't be read.
        """

    def group(self, index: int) -> Groups:
        """Pairs that share a group, position by position, are no negatives of each other."""


def pairs_per_step(pairs: int, batch: int, world: int) -> int:
    """Pairs in a batch of all processes: `batch` from each of `world`, fewer where there are fewer pairs.

    Raises:
        DataError: too few pairs to tell apart.
    """
    each = min(batch, pairs // world)
    if each < 1 or pairs < 2:
        raise DataError(f"{pairs} pairs are too few to tell apart in {world} process(es)")
    return each * world


@dataclass
class PairBatches:
    """Order and augmentation come from (seed, epoch, pair); a batch of all processes is cut in equal parts.

    Attributes:
        pairs: what there is.
        batch: pairs in this process' part of a batch; fewer where there are fewer.
        part: this process' share.
        seed: of everything drawn.
        threads: that read ahead.
        unread: pairs that could not be read here, and why.
    """

    pairs: PairSource
    batch: int
    part: Share
    seed: int
    threads: int
    unread: dict[int, str]

    def __post_init__(self) -> None:
        self.whole = pairs_per_step(len(self.pairs), self.batch, self.part.world)
        """Pairs in a batch of all processes."""
        self.batch = self.whole // self.part.world
        self.steps = len(self.pairs) // self.whole
        """Batches of an epoch."""

    def between(self, first: int, last: int) -> Iterator[tuple[int, Batch]]:
        """(step, (clips [B, T, 3, S, S], captions, groups int64 [B] or [B, K])) from step `first` to before `last`,
        counted over all epochs.

        Raises:
            DataError: none of a stretch of clips can be read.
        """
        with ThreadPoolExecutor(max(1, self.threads)) as pool:
            try:
                ahead = self._submit(pool, first) if first < last else []
                for step in range(first, last):
                    ready, ahead = ahead, self._submit(pool, step + 1) if step + 1 < last else []
                    clips, texts, groups = zip(*(future.result() for future in ready), strict=True)
                    yield step, (torch.stack(clips), list(texts), torch.tensor(groups))
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, pool: ThreadPoolExecutor, step: int) -> list[Future[Row]]:
        epoch, place = divmod(step, self.steps)
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.pairs))
        first = (place * self.part.world + self.part.rank) * self.batch
        chosen = [int(i) for i in order[first : first + self.batch]]
        return [pool.submit(self._read, i, (self.seed, epoch, i)) for i in chosen]

    def _read(self, index: int, seed: tuple[int, int, int]) -> Row:
        """A pair; one that can't be read is noted and the next stands in, so that batches keep their size."""
        for other in range(index, index + min(len(self.pairs), _STAND_INS)):
            other %= len(self.pairs)
            try:
                clip, text = self.pairs.pair(other, np.random.default_rng(seed))
                return clip, text, self.pairs.group(other)
            except DataError as error:
                self.unread[other] = str(error)
        reason = self.unread[index]
        raise DataError(f"{_STAND_INS} clips in a row can't be read, the first because: {reason}")
