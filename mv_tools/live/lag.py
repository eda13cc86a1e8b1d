"""How late pictures of a live source are, against what can be had."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["Lag"]

_DRIFT: Final = 5e-4  # by which the clocks of cameras differ from this one, most often
_RECENT: Final = 8
"""Packets that had to be waited for, of which the fastest one is taken: single ones come late at random."""


class Lag:
    """How late pictures are, against the fastest that can be had now.

    A delay that this process did not cause is none of its lag: after a stall a camera may go on late for
    good, and its clock drifts. Where packets have to be waited for, none is left that could be had: the
    fastest of the last eight of these is as fast as it gets. Between them, what counts as the fastest gives
    way by half a millisecond each second.
    """

    def __init__(self) -> None:
        self._fastest: float | None = None  # arrival minus time of the picture
        self._current: float | None = None  # that of the last packet that was waited for, or less since then
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._noted = 0.0

    def restart(self) -> None:
        """What follows has another delay: another connection, or time stamps that jumped."""
        self._fastest = self._current = None
        self._recent.clear()

    def add(self, seconds: float, arrived: float, *, waited: bool = False) -> None:
        """Note a picture of time `seconds` that arrived at `arrived`, by a steady clock.

        Args:
            seconds, arrived: of the picture.
            waited: whether it was not there yet when it was asked for.
        """
        delay = arrived - seconds
        if self._fastest is None or self._current is None:
            self._fastest = self._current = delay
        if waited:
            self._recent.append(delay)
            self._current = delay
            if len(self._recent) == _RECENT:
                self._fastest = max(self._fastest, min(self._recent))
        self._fastest = min(delay, self._fastest + _DRIFT * max(arrived - self._noted, 0.0))
        self._current = min(delay, self._current)
        self._noted = arrived

    def of(self, seconds: float, now: float) -> float:
        """Seconds that pass between when a picture of time `seconds` could have arrived and `now`."""
        return 0.0 if self._fastest is None else now - seconds - self._fastest

    def behind(self, seconds: float, now: float) -> float:
        """Seconds by which reading is behind what can be had; 0 for a packet that was waited for."""
        if self._fastest is None or self._current is None:
            return 0.0
        return now - seconds - max(self._fastest, self._current)

    def shown_at(self, seconds: float) -> float | None:
        """When a picture of time `seconds` could have arrived, by the clock of `arrived`; None if unknown."""
        return None if self._fastest is None else seconds + self._fastest
