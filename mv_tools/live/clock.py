"""Time of a live source: one clock over reconnections and jumps of its time stamps."""

from __future__ import annotations

import statistics
from collections import deque
from typing import Final

__all__ = ["Jump", "SourceClock"]

Jump = str
"""Why time stamps do not continue, as a sentence; empty where they do."""

_STEPS: Final = 32  # by whose median the usual step is known
_LOSS_STEPS: Final = 4.5  # usual steps from which on packets are taken as missing
_MAX_BACK: Final = 0.5  # seconds, or so many usual steps as below; reordering of pictures reaches back less
_BACK_STEPS: Final = 17.0  # at most 16 pictures are decoded before one that is shown earlier
_ROUNDING: Final = (0.005, 0.5)  # seconds, or so many usual steps, by which decoding times are inexact
# Seconds, or so many usual steps, by which time stamps of a source in real time may outrun their arrival.
_MAX_AHEAD: Final = 1.0
_AHEAD_STEPS: Final = 4.0

# How far pictures without time stamps follow their arrival: of their time, and of the step between them.
_FOLLOW: Final = 0.1
_FOLLOW_STEP: Final = _FOLLOW**2 / 4
_STEP_RANGE: Final = (1 / 240, 1.0)  # seconds
_LEAST_STEP: Final = 1e-3


class SourceClock:
    """Turns time stamps of connections into seconds since the first picture.

    A connection continues where the one before ended, plus the time that passed here. Where time stamps jump
    back the clock continues likewise, and in real time also where they jump forward by a second more than the
    packet took. RTP's time stamps jump when the first sender report comes.

    A gap in the times is evidence of loss only where packets come through a network: in a recording it is
    time in which no picture was taken. Two long steps in a row mean another frame rate, not missing packets.
    Steps are those of decoding times, if a stream has them: presentation times of reordered pictures jump.

    Pictures without time stamps are evenly spaced by the stated step; in real time their times follow the
    arrival of packets that were waited for: others arrived before they were read. The first time stamp of a
    connection continues those before it that had none.

    Args:
        real_time: whether packets arrive when they are recorded.
        lossy: whether packets can be lost on their way.
    """

    def __init__(self, *, real_time: bool = False, lossy: bool = False) -> None:
        self._real_time, self._lossy = real_time, lossy
        self._offset: float | None = None  # from a time stamp to this clock; None before the first one
        self._latest = 0.0  # the latest time given
        self._arrived = 0.0  # when it was given
        self._started = False
        self._steps: deque[float] = deque(maxlen=_STEPS)
        self._long = False  # the latest step was a loss
        self._stated = 0.0  # seconds between pictures, by the connection
        self._previous: tuple[bool, float] | None = None  # whether it is a decoding time, and the latest one
        self._base: tuple[float, float] | None = None  # time and arrival of the first picture without stamp
        self._followed: tuple[float, float] | None = None  # those of the first one that was waited for

    def reconnect(self, step: float = 0.0) -> None:
        """The next time stamp belongs to another connection.

        Args:
            step: seconds between its pictures, as far as known; for pictures without time stamps.
        """
        self._offset = self._previous = self._base = self._followed = None
        self._stated = step

    def begin(self, stamp: float, arrived: float) -> None:
        """The connection begins at a time stamp, which its first packet need not have."""
        if self._offset is None:
            self._offset = self._continued(arrived) - stamp

    @property
    def usual_step(self) -> float:
        """Seconds between pictures, as far as known."""
        return statistics.median(self._steps) if self._steps else self._stated

    def seconds(
        self, stamp: float | None, arrived: float, decoding: float | None = None, *, waited: bool = True
    ) -> tuple[float, Jump]:
        """The time of a picture, and whether its time stamp continues those before.

        Args:
            stamp: its time stamp in seconds, None if it has none.
            arrived: when its packet arrived, by any steady clock.
            decoding: its decoding time by the source, None if it has none.
            waited: whether the packet was read when it arrived.
        """
        if stamp is None:
            time = self._without_stamp(arrived, waited)
            jump = ""
        else:
            mark = (False, stamp) if decoding is None else (True, decoding)
            jump = self._jump(mark, arrived)
            if self._offset is None or jump.startswith("time stamps"):
                self._offset = self._offset_of(stamp, arrived)
                self._previous = None
            jump = self._learn(mark, jump)
            time = stamp + self._offset
        if time >= self._latest or not self._started:
            self._latest, self._arrived = time, arrived
        self._started = True
        return time, jump

    def take_back(self) -> None:
        """The last picture was the second field of a frame, which takes no time of its own."""
        if self._offset is None and self._base is not None and not self._real_time:
            self._latest -= self._stated

    def _continued(self, arrived: float) -> float:
        """The time of a picture that follows the latest one."""
        if not self._started:
            return 0.0
        passed = arrived - self._arrived if self._real_time else 0.0
        return self._latest + max(passed, self.usual_step, _LEAST_STEP)

    def _offset_of(self, stamp: float, arrived: float) -> float:
        """From time stamps to this clock, where they begin or begin anew."""
        continued = self._continued(arrived)
        if self._offset is None and self._base is not None:
            # RTP's time stamps count from the first picture, which has none itself.
            reach = max(_MAX_BACK, _BACK_STEPS * self.usual_step)
            if abs(self._base[0] + stamp - continued) <= reach:
                return self._base[0]
        return continued - stamp

    def _without_stamp(self, arrived: float, waited: bool) -> float:
        if self._offset is not None:  # single pictures, such as second fields
            return self._latest + self.usual_step
        if self._base is None:
            time = self._continued(arrived)
            self._base = time, arrived
            self._followed = self._base if waited else None
            return time
        time = self._latest + self._stated
        if not self._real_time:
            return time
        if self._followed is None:
            self._followed = (time, arrived) if waited else None
            return time
        behind = self._followed[0] + arrived - self._followed[1] - time
        if behind > 0 and not waited:  # it may have been there for long, but not before it was taken
            return time
        least, most = _STEP_RANGE
        self._stated = min(max(self._stated + _FOLLOW_STEP * behind, least), most)
        return max(time + _FOLLOW * behind, self._latest + _LEAST_STEP)

    def _learn(self, mark: tuple[bool, float], jump: Jump) -> Jump:
        """Take a step into account; the reason not to continue, if there still is one."""
        step = self._step_to(mark)
        if step is None:
            self._previous = mark
            return jump
        if step <= 0:
            return jump
        self._previous = mark
        if jump and not self._long:
            self._long = True
            return jump
        if jump:
            self._steps.clear()
        self._steps.append(step)
        self._long = False
        return ""

    def _step_to(self, mark: tuple[bool, float]) -> float | None:
        """Seconds from the latest picture in the same kind of time; None if there is none."""
        if self._previous is None or self._previous[0] != mark[0]:
            return None
        return mark[1] - self._previous[1]

    def _jump(self, mark: tuple[bool, float], arrived: float) -> Jump:
        step = self._step_to(mark)
        if step is None:
            return ""
        usual = self.usual_step
        seconds, steps = _ROUNDING if mark[0] else (_MAX_BACK, _BACK_STEPS)
        if step < -max(seconds, steps * usual):
            return f"time stamps jump back by {-step:.1f} s"
        if self._real_time and step > arrived - self._arrived + max(_MAX_AHEAD, _AHEAD_STEPS * usual):
            return f"time stamps jump forward by {step:.1f} s"
        # A step within the limit of the least one is within that of the median too.
        if not self._lossy or len(self._steps) < _STEPS // 4 or step <= _LOSS_STEPS * min(self._steps):
            return ""
        if step > _LOSS_STEPS * usual:
            return f"no picture for {step:.2f} s"
        return ""
