"""Progress reporting interface, and sizes and durations in words."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

__all__ = ["Pace", "Reporter", "Silent", "logger_level", "size_in_words"]

_MIN_PAUSE: Final = 10.0
_MAX_PAUSE: Final = 300.0


class Reporter(Protocol):
    """Receives messages for the user and the progress of stages."""

    def say(self, text: str) -> None:
        """Report a message."""

    def warn(self, text: str) -> None:
        """Report a message that the user should not overlook."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Report `done` of `total` steps of a stage; the stage ends when they are equal."""


class Silent:
    """Reporter that prints nothing."""

    def say(self, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass

    def progress(self, stage: str, done: int, total: int) -> None:
        pass


@dataclass
class _Stage:
    """State of a running stage.

    Attributes:
        started: time at which the stage began.
        measured_from: (time, steps done then), from where the rate is measured.
        written: time of the last line.
    """

    started: float
    measured_from: tuple[float, int]
    written: float


class Pace:
    """Decides when the progress of a stage is worth a line in a log, and estimates the time left.

    The first line comes after 10 s, later ones after a tenth of the time so far (10 s to 5 minutes).

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stages: dict[str, _Stage] = {}
        self._last_report = clock()

    def touch(self) -> None:
        """Note that a message was reported: the next stage begins now."""
        self._last_report = self._clock()

    def line(self, stage: str, done: int, total: int) -> str | None:
        """A line such as "motion: 120 of 400, about 3 minutes left", or None if none is due."""
        now, previous = self._clock(), self._last_report
        self._last_report = now
        state = self._stages.get(stage)
        if state is None:
            # A single first step began at the previous report. How long several steps took, done in
            # parallel or in an earlier run, is unknown.
            start = (previous, 0) if done == 1 else (now, done)
            state = self._stages[stage] = _Stage(start[0], start, start[0])
        since, steps = state.measured_from
        if done >= total or done < steps:
            del self._stages[stage]
            return None
        rate = (done - steps) / max(now - since, 1e-9)
        if (since, steps) == (state.started, 0):  # the start of processes delays the first step alone
            state.measured_from = now, done
        pause = min(max(_MIN_PAUSE, 0.1 * (now - state.started)), _MAX_PAUSE)
        if now - state.written < pause or not rate:
            return None
        state.written = now
        return f"{stage}: {done} of {total}, about {_duration_in_words((total - done) / rate)} left"


def _duration_in_words(seconds: float) -> str:
    """ "40 s", "12 minutes" or "3.5 hours"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 90 * 60 else f"{seconds / 3600:.1f} hours"


def size_in_words(size: float) -> str:
    """ "912 bytes", "62.4 kB", "7.6 MB" or "1.5 GB"."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size:.0f} bytes"


@contextmanager
def logger_level(name: str, level: int) -> Iterator[None]:
    """Set the level of a library's logger until the block ends."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
