"""Tables of features that do not fit into memory: rows are read as batches need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..training.batches import CHUNK, ShuffleBuffer
from .tables import FeatureTable, Rows, pool_tokens

__all__ = ["ReadRows", "StreamedTable"]

Floats = npt.NDArray[np.float32]
ReadRows: TypeAlias = Callable[[Rows], Iterator[tuple[Rows, Floats, Floats]]]
"""Positions of clips -> (places in them, motion [n, segments, Dm], appearance [n, frames, Da]), in parts."""


@dataclass(frozen=True)
class StreamedTable:
    """Features of some clips that are read as they are needed, in bounded memory.

    A random order of more rows than the buffer holds is made as a shuffle buffer makes it, but planned:
    chunks of neighbouring clips come in a random order, each shuffled, and what fills the buffer is shuffled.
    It depends on the generator alone, so that a training resumes in the middle of an epoch
    and reads no more than one buffer again.

    Attributes:
        read: reads features.
        positions: int64 [N], which clips the rows are.
        labels: int64 [N].
        buffer: rows held in memory.
        digest: of all that decides the features but the positions.
        averaged: whether they are averaged over segments and frames.
    """

    read: ReadRows
    positions: Rows
    labels: Tensor
    buffer: int
    digest: str
    averaged: bool = False

    @cached_property
    def _first(self) -> FeatureTable:
        return self.take(np.zeros(1, np.int64))

    @property
    def lengths(self) -> tuple[int, int]:
        """Length of a motion token and of a frame's feature."""
        return self._first.lengths

    @property
    def frames(self) -> int:
        """Frames of a clip; 1 where they are averaged."""
        return self._first.frames

    def pooled(self) -> StreamedTable:
        """The table averaged over segments and frames."""
        return replace(self, averaged=True)

    def joined(self, other: StreamedTable) -> StreamedTable:
        """The clips of this table and then those of another one of the same features."""
        positions = np.concatenate([self.positions, other.positions])
        return replace(self, positions=positions, labels=torch.cat([self.labels, other.labels]))

    def held(self) -> StreamedTable | FeatureTable:
        """The table in memory, where the buffer holds it."""
        rows = np.arange(len(self.labels))
        return self.take(rows) if len(rows) <= self.buffer else self

    def take(self, rows: Rows) -> FeatureTable:
        """Chosen rows, in this order."""
        motion: Tensor | None = None
        appearance: Tensor | None = None
        for places, one, other in self.read(self.positions[rows]):
            parts = torch.from_numpy(one), torch.from_numpy(other)
            if self.averaged:
                parts = pool_tokens(parts[0]), pool_tokens(parts[1])
            if motion is None or appearance is None:
                motion, appearance = (part.new_empty((len(rows), *part.shape[1:])) for part in parts)
            index = torch.from_numpy(places)
            motion[index], appearance[index] = parts
        assert motion is not None
        assert appearance is not None
        return FeatureTable(motion, appearance, self.labels[torch.from_numpy(rows)])

    def blocks(self, size: int) -> Iterator[FeatureTable]:
        """All rows in their order, `size` at a time."""
        per_read = max(1, min(self.buffer, 8 * CHUNK) // size) * size
        for start in range(0, len(self.labels), per_read):
            rows = np.arange(start, min(start + per_read, len(self.labels)))
            yield from self.take(rows).blocks(size)

    def order(self, rng: np.random.Generator, batch: int) -> Rows:
        """A random order of the rows; of no more than the buffer holds the same as in memory."""
        return self._shuffling.order(batch, rng)

    def batches(self, chosen: Sequence[Rows], first: int) -> Iterator[FeatureTable]:
        """The rows of each batch of an epoch, from batch number `first` on; the next buffer is read ahead."""
        if first >= len(chosen):
            return
        steps = self._shuffling.steps(len(chosen[0]))
        cuts = [first, *range(first - first % steps + steps, len(chosen), steps), len(chosen)]
        with ThreadPoolExecutor(1) as reader:
            spans = list(pairwise(cuts))
            waiting = reader.submit(self.take, np.concatenate(chosen[slice(*spans[0])]))
            for number, span in enumerate(spans):
                table = waiting.result()
                if number + 1 < len(spans):
                    waiting = reader.submit(self.take, np.concatenate(chosen[slice(*spans[number + 1])]))
                start = 0
                for rows in chosen[slice(*span)]:
                    part = slice(start, start + len(rows))
                    yield FeatureTable(table.motion[part], table.appearance[part], table.labels[part])
                    start = part.stop

    @property
    def _shuffling(self) -> ShuffleBuffer:
        return ShuffleBuffer(self.positions, self.buffer, CHUNK)

    def digest_parts(self) -> Iterator[bytes]:
        """What decides the features, for a digest."""
        yield f"{self.digest} {self.buffer} {CHUNK}".encode()
        yield np.ascontiguousarray(self.positions).tobytes()
