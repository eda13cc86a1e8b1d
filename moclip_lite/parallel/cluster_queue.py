"""The jobs that a cluster has yet to do, and how often each was tried."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Final

__all__ = ["JobQueue"]

_LARGEST: Final = 8
"""Jobs that a worker gets at once, at most."""
_PER_WORKER: Final = 16
"""So many chunks for each worker, where there are enough jobs: then all end at about the same time."""
_ATTEMPTS: Final = 2
"""Of a job alone that ended its process each time, before it is given up."""


class JobQueue:
    """Numbers of jobs in chunks.

    Args:
        count: of jobs.
        workers: that share them.
    """

    def __init__(self, count: int, workers: int) -> None:
        size = min(_LARGEST, max(1, count // (_PER_WORKER * max(1, workers))))
        self._chunks = deque(list(range(first, min(first + size, count))) for first in range(0, count, size))
        self._died: Counter[int] = Counter()

    def __bool__(self) -> bool:
        """Whether jobs wait."""
        return bool(self._chunks)

    def take(self) -> list[int]:
        """The next chunk."""
        return self._chunks.popleft()

    def put_back(self, jobs: Iterable[int]) -> None:
        """Do jobs again, each alone, before the others."""
        self._chunks.extendleft([job] for job in jobs)

    def died(self, jobs: list[int]) -> list[int]:
        """Jobs whose process ended while its node lives on; returns those that are given up.

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
