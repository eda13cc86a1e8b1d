"""Time of a live source: one clock over reconnections and jumps of its time stamps."""

from __future__ import annotations

import statistics
from collections import deque
from typing import Final

__all__ = ["Jump", "Lag", "SourceClock"]

Jump = str
"""Why time stamps do not continue, as a sentence; empty where they do."""

_STEPS: Final = 32  # by whose median the usual step is known
_LOSS_STEPS: Final = 4.5  # usual steps from which on packets are taken as missing
_MAX_BACK: Final = 0.5  # seconds, or so many usual steps as below; reordering of pictures reaches back less
_BACK_STEPS: Final = 4.0
_MAX_FORWARD: Final = 10.0  # seconds
# Seconds by which a time stamp of a source in real time may jump ahead of its arrival.
_MAX_AHEAD: Final = 1.0

_DRIFT: Final = 5e-4  # by which the clocks of cameras differ from this one, at most


class SourceClock:
    """Turns time stamps of connections into seconds since the first picture.

    A connection continues where the one before ended, plus the time that passed here. Where time stamps jump
    back by more than half a second or forward by more than ten (in real time: by a second more than the
    packet took), the clock continues likewise. RTP's time stamps jump when the first sender report comes.
    Two long steps in a row mean another frame rate, not missing packets.

    Args:
        real_time: whether packets arrive when they are recorded.
    """

    def __init__(self, *, real_time: bool = False) -> None:
        self._real_time = real_time
        self._offset: float | None = None  # from a time stamp to this clock
        self._latest = 0.0  # the latest time given
        self._arrived = 0.0  # when it was given
        self._started = False
        self._steps: deque[float] = deque(maxlen=_STEPS)
        self._long = False  # the latest step was a loss
        self._stated = 0.0  # seconds between pictures, by the connection
        self._previous: float | None = None  # the latest time stamp of the connection

    def reconnect(self, step: float = 0.0) -> None:
        """The next time stamp belongs to another connection.

        Args:
            step: seconds between its pictures, as far as known; for pictures without time stamps.
        """
        self._offset = self._previous = None
        self._stated = step

    def seconds(self, stamp: float | None, arrived: float) -> tuple[float, Jump]:
        """The time of a picture, and whether its time stamp continues those before.

        Args:
            stamp: its time stamp in seconds, None if it has none.
            arrived: when its packet arrived, by any steady clock.
        """
        if stamp is None:
            stamp = 0.0 if self._previous is None else self._previous + self._usual_step()
        jump = self._jump(stamp, arrived)
        if self._offset is None or jump.startswith("time stamps"):
            passed = max(arrived - self._arrived, self._usual_step()) if self._started else 0.0
            self._offset = self._latest + passed - stamp
            self._previous = None
        if self._previous is None or stamp > self._previous:
            if self._previous is not None:
                jump = self._learn(stamp - self._previous, jump)
            self._previous = stamp
        time = stamp + self._offset
        if time >= self._latest or not self._started:
            self._latest, self._arrived = time, arrived
        self._started = True
        return time, jump

    def _learn(self, step: float, jump: Jump) -> Jump:
        """Take a step into account; the reason not to continue, if there still is one."""
        if jump and not self._long:
            self._long = True
            return jump
        if jump:
            self._steps.clear()
        self._steps.append(step)
        self._long = False
        return ""

    def _usual_step(self) -> float:
        return statistics.median(self._steps) if self._steps else self._stated

    def _jump(self, stamp: float, arrived: float) -> Jump:
        if self._previous is None:
            return ""
        step = stamp - self._previous
        if step < -_MAX_BACK and step < -_BACK_STEPS * self._usual_step():
            return f"time stamps jump back by {-step:.1f} s"
        limit = arrived - self._arrived + _MAX_AHEAD if self._real_time else _MAX_FORWARD
        if step > limit:
            return f"time stamps jump forward by {step:.1f} s"
        # A step within the limit of the least one is within that of the median too.
        if len(self._steps) < _STEPS // 4 or step <= _LOSS_STEPS * min(self._steps):
            return ""
        if step > _LOSS_STEPS * self._usual_step():
            return f"no picture for {step:.2f} s"
        return ""


class Lag:
    """How late pictures are, against the fastest on their way.

    The clock of a camera drifts: what counts as the fastest gives way by half a millisecond each second.
    """

    def __init__(self) -> None:
        self._fastest: float | None = None  # arrival minus time of the picture
        self._noted = 0.0

    def add(self, seconds: float, arrived: float) -> None:
        """Note a picture of time `seconds` that arrived at `arrived`, by a steady clock."""
        delay = arrived - seconds
        if self._fastest is None:
            self._fastest = delay
        else:
            self._fastest = min(delay, self._fastest + _DRIFT * max(arrived - self._noted, 0.0))
        self._noted = arrived

    def of(self, seconds: float, now: float) -> float:
        """Seconds that pass between when a picture of time `seconds` could be here and `now`."""
        return 0.0 if self._fastest is None else now - seconds - self._fastest
