"""Tables of cached features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["FeatureTable", "Rows", "Split", "Table", "join_tables", "pool_tokens"]

Rows = npt.NDArray[np.int64]
"""Numbers of rows of a table."""


def pool_tokens(features: Tensor) -> Tensor:
    """[B, N, D] -> [B, D], the mean over segments or frames; [B, D] stays."""
    return features.mean(dim=1) if features.ndim == 3 else features


class Table(Protocol):
    """Features of some clips, in memory (:class:`FeatureTable`) or read as they are needed.

    Attributes:
        labels: int64 [N].
    """

    @property
    def labels(self) -> Tensor: ...

    @property
    def lengths(self) -> tuple[int, int]:
        """Length of a motion token and of a frame's feature."""

    @property
    def frames(self) -> int:
        """Frames of a clip; 1 where they are averaged."""

    def pooled(self) -> Table:
        """The table averaged over segments and frames."""

    def take(self, rows: Rows) -> FeatureTable:
        """Chosen rows, in this order."""

    def blocks(self, size: int) -> Iterator[FeatureTable]:
        """All rows in their order, `size` at a time."""

    def order(self, rng: np.random.Generator, batch: int) -> Rows:
        """A random order of the rows, for batches of this size."""

    def batches(self, chosen: Sequence[Rows], first: int) -> Iterator[FeatureTable]:
        """The rows of each batch of an epoch, from batch number `first` on."""

    def digest_parts(self) -> Iterator[bytes]:
        """What decides the features, for a digest."""


@dataclass(frozen=True)
class FeatureTable:
    """Cached features of some clips, in memory.

    Attributes:
        motion: float32 [N, segments, Dm] or [N, Dm]; rows of clips without motion hold the training mean.
        appearance: float32 [N, frames, Da] or [N, Da].
        labels: int64 [N].
    """

    motion: Tensor
    appearance: Tensor
    labels: Tensor

    def pooled(self) -> FeatureTable:
        """The table averaged over segments and frames."""
        return FeatureTable(pool_tokens(self.motion), pool_tokens(self.appearance), self.labels)

    @property
    def lengths(self) -> tuple[int, int]:
        """Length of a motion token and of a frame's feature."""
        return self.motion.shape[-1], self.appearance.shape[-1]

    @property
    def frames(self) -> int:
        """Frames of a clip; 1 where they are averaged."""
        return self.appearance.shape[1] if self.appearance.ndim == 3 else 1

    def take(self, rows: Rows) -> FeatureTable:
        """Chosen rows, in this order."""
        index = torch.from_numpy(rows)
        return FeatureTable(self.motion[index], self.appearance[index], self.labels[index])

    def blocks(self, size: int) -> Iterator[FeatureTable]:
        """All rows in their order, `size` at a time."""
        for start in range(0, len(self.labels), size):
            rows = slice(start, start + size)
            yield FeatureTable(self.motion[rows], self.appearance[rows], self.labels[rows])

    def order(self, rng: np.random.Generator, batch: int) -> Rows:
        """A random order of the rows."""
        return rng.permutation(len(self.labels))

    def batches(self, chosen: Sequence[Rows], first: int) -> Iterator[FeatureTable]:
        """The rows of each batch of an epoch, from batch number `first` on."""
        return (self.take(rows) for rows in chosen[first:])

    def digest_parts(self) -> Iterator[bytes]:
        """What decides the features, for a digest."""
        return (np.ascontiguousarray(x.numpy()).tobytes() for x in (self.motion, self.appearance))


@dataclass(frozen=True)
class Split:
    """Clips to train on, and clips that neither the head nor the motion network was trained on.

    The motion features of both are of one network. Those of another split may be of another network: its
    tokens are of another space, so that scores of several splits may be joined, but not their features.
    """

    train: FeatureTable
    held_out: FeatureTable


def join_tables(tables: Sequence[FeatureTable]) -> FeatureTable:
    """The clips of several tables in memory, in their order."""
    return FeatureTable(
        torch.cat([table.motion for table in tables]),
        torch.cat([table.appearance for table in tables]),
        torch.cat([table.labels for table in tables]),
    )
