"""The jobs that a cluster has yet to do, and how often each was tried."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Final

__all__ = ["JobQueue"]

_SECONDS: Final = 0.25
"""Of work in a chunk: a message is small against it, and little is done again where a node is lost."""
_LARGEST: Final = 64
_ATTEMPTS: Final = 2
"""Of a job alone that ended its process each time, before it is given up."""


class JobQueue:
    """Numbers of jobs, given out in chunks that take about equally long.

    Args:
        count: of jobs.
        workers: that share them.
    """

    def __init__(self, count: int, workers: int) -> None:
        self._next, self._count, self._workers = 0, count, max(1, workers)
        self._alone: deque[int] = deque()
        self._died: Counter[int] = Counter()
        self._size = 1

    def __bool__(self) -> bool:
        """Whether jobs wait."""
        return bool(self._alone) or self._next < self._count

    def take(self) -> list[int]:
        """The next chunk; towards the end chunks get smaller, so that all workers end about together."""
        if self._alone:
            return [self._alone.popleft()]
        share = -(-(self._count - self._next) // (4 * self._workers))
        first, self._next = self._next, min(self._next + min(self._size, share), self._count)
        return list(range(first, self._next))

    def learn(self, jobs: int, seconds: float) -> None:
        """Choose the size of chunks by one that was done."""
        self._size = max(1, min(_LARGEST, int(_SECONDS * jobs / max(seconds, 1e-6))))

    def put_back(self, jobs: Iterable[int]) -> None:
        """Do jobs again, each alone, before the others."""
        self._alone.extend(jobs)

    def died(self, jobs: list[int]) -> list[int]:
        """Jobs whose process ended while its node still runs; returns those that are given up.

        Of several jobs, one has ended the process: each is tried alone.
        """
        if len(jobs) > 1:
            self.put_back(jobs)
            return []
        (job,) = jobs
        self._died[job] += 1
        if self._died[job] >= _ATTEMPTS:
            return jobs
        self.put_back(jobs)
        return []
