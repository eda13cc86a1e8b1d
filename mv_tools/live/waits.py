"""Which packets of a live source had to be waited for, so that reading had caught up with it."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["ROW", "THERE", "Wait", "Waits"]

ROW: Final = 8
"""Packets waited for in a row that prove that reading has caught up: other threads hold up single ones."""

_LEAST: Final = 0.008  # seconds that a packet takes which is waited for, at most: others are held up less
_LEAST_STEPS: Final = 0.2  # the same in steps: those of fast cameras take less
_LONG: Final = 1.0  # seconds for which no packet that is there is held up by other threads
_SLACK_STEPS: Final = 4.0  # by which reading may be behind for a moment within a row


class Wait(NamedTuple):
    """How a packet was had.

    Attributes:
        seconds: for which it was waited; 0 where it was there.
        row: packets that were waited for in a row, up to this one; 0 where reading may be behind.
    """

    seconds: float = 0.0
    row: int = 0

    @property
    def long(self) -> bool:
        """Whether the packet can't have been there, whatever else this process does."""
        return self.seconds >= _LONG

    @property
    def sure(self) -> bool:
        """Whether the packet was read when it arrived."""
        return self.long or (self.seconds > 0.0 and self.row >= ROW)


THERE: Final = Wait()
"""A packet that was there when it was asked for."""


class Waits:
    """Finds out which packets were waited for.

    A packet that is there takes a while too, where other threads are busy: a wait proves something only if it
    is long or one of a row. Those that came within the pause behind a packet, by which packets are read
    several at a time, belong to the row; more of them, or much work behind a packet, end it.

    Args:
        pause: seconds that reading pauses behind a packet that was waited for.
    """

    def __init__(self, pause: float = 0.0) -> None:
        self._pause = pause
        self._row = self._there = 0  # waited for in a row, and there already since the last of them

    def restart(self) -> None:
        """Another connection begins."""
        self._row = self._there = 0

    def add(self, took: float, busy: float, step: float) -> Wait:
        """Take the next packet.

        Args:
            took: seconds from asking for it to having it.
            busy: seconds of work behind the packet before, without the pause.
            step: usual seconds between packets, 0 if unknown.
        """
        if busy > max(_SLACK_STEPS * step, _LEAST):
            self._row = 0
        if took > (min(_LEAST, _LEAST_STEPS * step) if step else _LEAST):
            self._row, self._there = self._row + 1, 0
            return Wait(took, self._row)
        self._there += 1
        if self._there > _SLACK_STEPS + (self._pause / step if step else 0.0):
            self._row = 0
        return Wait(0.0, self._row)
