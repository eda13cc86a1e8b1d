"""How long work talks to whoever started it; the command line gives it a face."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

__all__ = ["Pace", "Reporter", "Silent", "logger_level"]

_FIRST: Final = 10.0
_LONGEST: Final = 300.0


class Reporter(Protocol):
    """Receives lines for people and the progress of stages."""

    def say(self, text: str) -> None:
        """Something worth a line."""

    def warn(self, text: str) -> None:
        """Something that a user should not overlook."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` steps of a stage; ends when they are equal."""


class Silent:
    """Says nothing."""

    def say(self, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass

    def progress(self, stage: str, done: int, total: int) -> None:
        pass


@dataclass
class _Stage:
    """When a stage was first heard of, how far it was then, and when a line was last written."""

    started: float
    first: int
    written: float


class Pace:
    """When long work is worth a line in a log, and how long it will still take.

    The first line comes after 10 s, later ones after a tenth of the time so far (10 s to 5 minutes).

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stages: dict[str, _Stage] = {}
        self._heard = clock()

    def touch(self) -> None:
        """Something was reported: what comes next begins now."""
        self._heard = self._clock()

    def line(self, stage: str, done: int, total: int) -> str | None:
        """A line such as "motion: 120 of 400, about 3 minutes left", or None if it is not time for one."""
        now, before = self._clock(), self._heard
        self._heard = now
        # The first step began when the last thing was reported; of several at once (or of a stage that goes
        # on from earlier work) it is not known how long they took.
        start = _Stage(before, 0, before) if done == 1 else _Stage(now, done, now)
        seen = self._stages.setdefault(stage, start)
        if done >= total or done < seen.first:
            del self._stages[stage]
            return None
        pause = min(max(_FIRST, 0.1 * (now - seen.started)), _LONGEST)
        if now - seen.written < pause or done <= seen.first:
            return None
        seen.written = now
        left = (now - seen.started) / (done - seen.first) * (total - done)
        return f"{stage}: {done} of {total}, about {_duration(left)} left"


def _duration(seconds: float) -> str:
    """ "40 s", "12 minutes" or "3.5 hours"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 90 * 60 else f"{seconds / 3600:.1f} hours"


@contextmanager
def logger_level(name: str, level: int) -> Iterator[None]:
    """A library's logger at another level until the block ends."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
