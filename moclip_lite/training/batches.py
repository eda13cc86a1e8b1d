"""Order of clips in training, batches of their indices, and validation figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = [
    "CHUNK",
    "ShuffleBuffer",
    "accuracy_and_loss",
    "balanced_order",
    "batches",
    "count_batches",
    "uneven",
]

_UNEVEN: Final = 1.5
"""Clips of the largest class over those of a mean one from which classes count as uneven. Divisions by group
leave ratios of up to 1.3 where all classes have equally many clips."""

CHUNK: Final = 1024
"""Neighbouring clips that :class:`ShuffleBuffer` keeps together: a row group of features, read at once."""

Indices = npt.NDArray[np.int64]


def batches(order: Indices, size: int, min_size: int = 2) -> Iterator[Indices]:
    """Cut into batches; a last one below `min_size` is left out: BatchNorm can't train on one clip."""
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        if len(batch) >= min_size or len(order) == 1:
            yield batch


def count_batches(count: int, size: int, min_size: int = 2) -> int:
    """Number of batches that :func:`batches` makes of `count` clips."""
    full, rest = divmod(count, size)
    return full + int(rest >= min_size or count == 1)


@dataclass(frozen=True)
class ShuffleBuffer:
    """Reading in a random order of clips in files that are not all in memory.

    Attributes:
        positions: int64 [N], where the clips stand in their files.
        size: clips in memory.
        chunk: neighbouring clips that are read at once.
    """

    positions: Indices
    size: int
    chunk: int = CHUNK

    def steps(self, batch: int) -> int:
        """Batches that the buffer holds."""
        return max(1, self.size // batch)

    def order(self, batch: int, rng: np.random.Generator) -> Indices:
        """The order that a shuffle buffer gives, planned; up to the buffer's size it is a permutation.

        Chunks of neighbouring clips come in a random order, each shuffled, because neighbours are of one
        class in most data sets; what fills the buffer is shuffled too.
        """
        window = self.steps(batch) * batch
        if len(self.positions) <= max(self.size, window):
            return rng.permutation(len(self.positions))
        ranked = np.argsort(self.positions, kind="stable")
        chunks = np.split(ranked, np.flatnonzero(np.diff(self.positions[ranked] // self.chunk)) + 1)
        order = np.concatenate([rng.permutation(chunks[number]) for number in rng.permutation(len(chunks))])
        return np.concatenate([rng.permutation(order[i : i + window]) for i in range(0, len(order), window)])


def uneven(targets: Indices) -> bool:
    """Whether the largest or smallest class present has 1.5 times as many or few clips as the mean one."""
    counts = np.bincount(targets)
    counts = counts[counts > 0]
    return len(counts) > 1 and bool(
        counts.max() > _UNEVEN * counts.mean() or counts.min() * _UNEVEN < counts.mean()
    )


def balanced_order(targets: Indices, rng: np.random.Generator) -> Indices:
    """A random order of as many clips as there are, with equally many of each class present.

    Clips of a rare class repeat, each as often as any other of it or once more;
    of a frequent class some are left out.

    Args:
        targets: int64 [N], class of each clip.
        rng: draws.
    """
    classes = rng.permutation(np.unique(targets))
    shares = np.full(len(classes), len(targets) // len(classes))
    shares[: len(targets) % len(classes)] += 1
    chosen = [_repeat(np.flatnonzero(targets == c), n, rng) for c, n in zip(classes, shares, strict=True)]
    return rng.permutation(np.concatenate(chosen))


def _repeat(members: Indices, count: int, rng: np.random.Generator) -> Indices:
    """`count` of the members, in whole rounds over all as far as possible."""
    rounds = [rng.permutation(members) for _ in range(-(-count // len(members)))]
    return np.concatenate(rounds)[:count] if rounds else members[:0]


def accuracy_and_loss(
    scores: npt.NDArray[np.float32], targets: Indices, *, macro: bool = False
) -> tuple[float, float]:
    """Top-1 in percent and cross-entropy of class probabilities.

    Args:
        scores: [N, C].
        targets: [N].
        macro: weigh clips so that each class present counts alike.
    """
    counts = np.bincount(targets, minlength=scores.shape[1])[targets]
    weights = (1 / counts if macro else np.ones(len(targets))).astype(np.float64)
    right = (scores.argmax(axis=1) == targets) * weights
    accuracy = 100 * float(right.sum() / weights.sum())  # 100 exactly where all are right
    weights /= weights.sum()
    probabilities = scores[np.arange(len(targets)), targets].astype(np.float64)
    return accuracy, float(-(np.log(np.maximum(probabilities, 1e-12)) * weights).sum())
