"""How late pictures of a live source are, against what can be had."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import Final

from .waits import ROW, THERE, Wait

__all__ = ["Lag"]

_DRIFT: Final = 1.5e-3  # by which the clocks of cameras differ from this one at most
# Half a step is the difference of the packets of a row; at least and at most so many seconds.
_AGREEMENT: Final = (0.005, 0.05)
_SINGLE: Final = 2  # packets of a row that may be late at random
_CATCH_UP: Final = 0.1  # seconds of a delay behind a long wait that are made up in a second
_SAME: Final = 0.05  # seconds of delay that make no other stretch
_STRETCHES: Final = 256


class Lag:
    """How late pictures are, against the fastest that could be had at their time.

    A delay that this process did not cause is none of its lag: after a stall a camera may go on late for
    good, and its clock drifts. What counts as the fastest rises only where reading has caught up: to the
    fastest of a row of packets that were waited for, if they are equally late, and else by 1.5 milliseconds
    each second. Reading is not behind by a long wait either; where packets are there again without one, it is
    expected to catch up by a tenth of their time.

    A delay belongs to the pictures from which on it appeared: those before keep theirs.
    """

    def __init__(self) -> None:
        self._fastest: float | None = None  # arrival minus time of the picture
        self._current = 0.0  # that of what can be had at the moment
        self._row: deque[tuple[float, float]] = deque(maxlen=ROW)  # time and delay
        self._noted = 0.0
        # Of stretches in which the delay is the same: the first time, and the delay at its beginning and now.
        self._stretches: deque[tuple[float, float, float]] = deque(maxlen=_STRETCHES)

    def restart(self) -> None:
        """What follows has another delay: another connection, or time stamps that jumped."""
        self._fastest = None
        self._row.clear()

    def add(self, seconds: float, arrived: float, wait: Wait = THERE, *, step: float = 0.0) -> None:
        """Note a picture of time `seconds` that arrived at `arrived`, by a steady clock.

        Args:
            seconds, arrived: of the picture.
            wait: how its packet was had.
            step: usual seconds between packets.
        """
        delay = arrived - seconds
        if self._fastest is None:
            self._fastest = self._current = delay
            self._row.clear()
            self._begin(seconds)
        if wait.long:
            self._current = max(self._fastest, self._current) + wait.seconds
        elif not wait.seconds:
            self._current -= _CATCH_UP * max(arrived - self._noted, 0.0)
        if wait.row < 2:
            self._row.clear()
        if wait.seconds:
            self._row.append((seconds, delay))
            if wait.row >= ROW:
                self._fastest += _DRIFT * max(arrived - self._noted, 0.0)
            if self._agreed(step):
                self._fastest = max(self._fastest, min(late for _, late in self._row))
        self._noted = arrived
        self._fastest = min(delay, self._fastest)
        self._current = min(delay, self._current)
        self._remember(seconds)

    def of(self, seconds: float, now: float) -> float:
        """Seconds that pass between when a picture of time `seconds` could have arrived and `now`."""
        shown = self.shown_at(seconds)
        return 0.0 if shown is None else now - shown

    def behind(self, seconds: float, now: float) -> float:
        """Seconds by which reading is behind what can be had; 0 for a packet that was waited for."""
        return 0.0 if self._fastest is None else now - seconds - max(self._fastest, self._current)

    def shown_at(self, seconds: float) -> float | None:
        """When a picture of time `seconds` could have arrived, by the clock of `arrived`; None if unknown."""
        if not self._stretches:
            return None
        place = bisect_right(self._stretches, seconds, key=lambda stretch: stretch[0])
        return seconds + self._stretches[max(place - 1, 0)][2]

    def _agreed(self, step: float) -> bool:
        """Whether the packets of the row are equally late, but for single ones."""
        if len(self._row) < ROW:
            return False
        late = sorted(delay for _, delay in self._row)[:-_SINGLE]
        least, most = _AGREEMENT
        return late[-1] - late[0] <= min(max(step / 2, least), most)

    def _remember(self, seconds: float) -> None:
        """Note from which picture on there is another delay; less delay was there all the while."""
        assert self._fastest is not None
        since, first, _ = self._stretches[-1]
        if self._fastest > first + _SAME:
            self._begin(self._row[0][0] if self._row else seconds)
        else:
            self._stretches[-1] = since, min(first, self._fastest), self._fastest

    def _begin(self, seconds: float) -> None:
        """Begin a stretch."""
        assert self._fastest is not None
        since = max(seconds, self._stretches[-1][0]) if self._stretches else seconds
        self._stretches.append((since, self._fastest, self._fastest))
