"""Packets of a live source as they arrive: when their pictures are shown, and which are lost or late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from .address import Address
from .clock import SourceClock
from .connection import LivePacket
from .lag import Lag
from .waits import Wait

__all__ = ["Arrival", "Arrivals", "Notes"]

Say: TypeAlias = Callable[[str], None]

_MOST_UNSTAMPED: Final = 8  # pictures of a connection before its first time stamp that are not reported
_ARRIVAL: Final = "its pictures have no time stamps: their times follow their arrival"
_GAPS: Final = (
    "a gap in the times of its pictures is taken as lost data; later gaps are counted without a word"
)
_INCOMPLETE: Final = "the transport reports missing data"


class Notes:
    """Sentences about a source, with its name.

    Args:
        name: of the source.
        say: takes the sentences.
    """

    def __init__(self, name: str, say: Say) -> None:
        self._name, self._say = name, say
        self._said: set[str] = set()

    def restart(self) -> None:
        """Another connection begins."""
        self._said.clear()

    def add(self, sentence: str) -> None:
        """Say something."""
        self._say(f"{self._name}: {sentence}")

    def once(self, sentence: str) -> None:
        """Say something once in a connection."""
        if sentence not in self._said:
            self._said.add(sentence)
            self.add(sentence)


class Arrival(NamedTuple):
    """What is known of a packet before it is parsed.

    Attributes:
        seconds: when its picture is shown, since the source's first picture.
        loss: why packets are missing before it; empty where none is.
        late: whether reading is further behind than is allowed.
    """

    seconds: float
    loss: str
    late: bool


class Arrivals:
    """Packets of a source, over all its connections.

    Args:
        address: the source.
        max_lag: seconds that reading may be behind; None for any number.
        notes: takes what is found.

    Attributes:
        lag: how late pictures are.
        step: usual seconds between packets, 0 if unknown.
    """

    def __init__(self, address: Address, max_lag: float | None, notes: Notes) -> None:
        self._lossy = address.kind == "network"  # elsewhere time passed, or a recording follows another
        self._clock = SourceClock(real_time=address.kind in ("network", "device"), lossy=self._lossy)
        self._max_lag, self._notes = max_lag, notes
        self.lag = Lag()
        # In decoding order, in which pictures do not wait for others.
        self._reading, self._decoded = Lag(), 0.0
        self._stated = self.step = 0.0
        self._unstamped = 0  # pictures of the connection so far, if none had a time stamp

    def restart(self, step: float) -> None:
        """Another connection begins, whose pictures are `step` seconds apart as far as known."""
        self._clock.reconnect(step)
        self._restart_lag()
        self._stated = self.step = step
        self._unstamped = 0

    def not_shown(self, arrived: float) -> None:
        """A packet arrived that lies before the beginning of the edit list."""
        self._clock.begin(0.0, arrived)

    def of(self, packet: LivePacket, arrived: float, wait: Wait) -> Arrival:
        """Place a packet.

        Args:
            packet: the next one.
            arrived: when it came, by a steady clock.
            wait: how it was had.
        """
        seconds, jump = self._clock.seconds(packet.seconds, arrived, packet.decoding, waited=wait.sure)
        self.step = self._clock.usual_step
        self._note_stamps(packet)
        forward = jump.startswith("time stamps jump forward")
        if jump.startswith("time stamps"):
            self._restart_lag()
            self._notes.add(jump)
        elif jump:
            self._notes.once(_GAPS)
        self._decoded = seconds
        if packet.seconds is not None and packet.decoding is not None:
            self._decoded += packet.decoding - packet.seconds
        self.lag.add(seconds, arrived, wait, step=self.step)
        self._reading.add(self._decoded, arrived, wait, step=self.step)
        loss = jump if self._lossy and not forward else ""
        if packet.corrupt:
            loss = jump or _INCOMPLETE
        return Arrival(seconds, loss, self._max_lag is not None and self.behind(arrived) > self._max_lag)

    def behind(self, now: float) -> float:
        """Seconds by which reading is behind what can be had, by the last packet."""
        return self._reading.behind(self._decoded, now)

    def _restart_lag(self) -> None:
        self.lag.restart()
        self._reading.restart()

    def second_field(self, packet: LivePacket) -> None:
        """The last packet turned out to be the second field of a picture, which takes no time of its own."""
        if packet.seconds is None:
            self._clock.take_back()

    def _note_stamps(self, packet: LivePacket) -> None:
        """Report pictures without time stamps; the first ones of RTP have none, and second fields."""
        if packet.seconds is not None:
            self._unstamped = _MOST_UNSTAMPED + 1
            return
        self._unstamped += 1
        if self._unstamped != _MOST_UNSTAMPED:
            return
        if self._lossy:
            self._notes.add(_ARRIVAL)
            return
        self._notes.add(
            f"its pictures have no time stamps; they are taken as {1 / self._stated:.5g} a second, as the "
            "stream states, or 25 where it states nothing"
        )
