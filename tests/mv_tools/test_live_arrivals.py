"""What is known of packets as they arrive: times, losses, lag, and what is reported of them."""

from __future__ import annotations

import pytest

from mv_tools.live.address import Address
from mv_tools.live.arrivals import Arrival, Arrivals, Notes
from mv_tools.live.connection import LivePacket
from mv_tools.live.waits import THERE

STEP = 0.04


class Source:
    """Packets that are asked for when they arrive, without content.

    Attributes:
        said: sentences about the source.
    """

    def __init__(self, address: str = "http://camera/x", max_lag: float | None = None) -> None:
        self.said: list[str] = []
        source = Address.parse(address)
        self._notes = Notes(source.name, self.said.append)
        self.arrivals = Arrivals(source, max_lag, self._notes)
        self.connect()

    def connect(self) -> None:
        self.arrivals.restart(STEP)
        self._notes.restart()

    def gives(self, seconds: float | None, arrived: float, *, corrupt: bool = False) -> Arrival:
        packet = LivePacket(b"", seconds, False, corrupt)
        return self.arrivals.of(packet, 1000.0 + arrived, THERE)

    def runs(self, pictures: int) -> None:
        for number in range(pictures):
            assert self.gives(5.0 + number * STEP, number * STEP) == (pytest.approx(number * STEP), "", False)


@pytest.mark.parametrize(("address", "lost"), [("http://camera/x", True), ("/videos/growing.ts", False)])
def test_a_gap_is_a_loss_where_a_network_lies_between(address: str, lost: bool) -> None:
    """Once a connection it is reported; a packet that the transport knows to be damaged is one everywhere."""
    source = Source(address)
    source.runs(20)
    assert bool(source.gives(7.0, 2.0).loss) == lost
    assert bool(source.gives(7.04, 2.04).loss) is False
    assert bool(source.gives(8.0, 3.0).loss) == lost
    assert sum("gap" in text for text in source.said) == lost
    assert source.gives(8.04, 3.04, corrupt=True).loss == "the transport reports missing data"


def test_a_packet_is_late_where_reading_is_behind() -> None:
    for max_lag, late in ((None, False), (1.0, True), (3.0, False)):
        source = Source(max_lag=max_lag)
        source.runs(20)
        assert source.gives(5.8, 2.8).late == late


def test_time_stamps_that_jump_begin_another_lag() -> None:
    source = Source(max_lag=1.0)
    source.runs(20)
    arrival = source.gives(1.0, 0.8)
    assert arrival.seconds >= 19 * STEP
    assert arrival.loss.startswith("time stamps")
    assert not arrival.late
    assert source.said == [f"http://camera/x: {arrival.loss}"]


def test_time_stamps_that_jump_forward_are_no_loss() -> None:
    """Nothing is missing where the camera's clock was set."""
    source = Source()
    source.runs(20)
    assert source.gives(105.8, 0.8).loss == ""
    assert len(source.said) == 1


def test_pictures_that_are_decoded_early_do_not_make_the_others_late() -> None:
    """A picture a second, three of four shown before the one that is decoded first."""
    source = Source(max_lag=1.0)
    for number in range(40):
        shown = number + (3 if number % 4 == 0 else -1)
        packet = LivePacket(b"", float(shown), False, False, float(number - 1))
        assert not source.arrivals.of(packet, 1000.0 + number, THERE).late
        assert source.arrivals.behind(1000.0 + number) == pytest.approx(0.0)
    assert source.arrivals.behind(1041.5) == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("address", "words"), [("http://camera/x", "follow their arrival"), ("/videos/raw.h264", "25 a second")]
)
def test_pictures_without_time_stamps_are_reported_once_a_connection(address: str, words: str) -> None:
    """Not the first ones before a time stamp."""
    source = Source(address)
    for number in range(5):
        source.gives(None, number * STEP)
    source.gives(0.2, 0.2)
    for number in range(6, 40):
        source.gives(None, number * STEP)
    assert source.said == []
    source.connect()
    for number in range(40, 80):
        source.gives(None, number * STEP)
    assert sum(words in text for text in source.said) == 1


def test_a_second_field_takes_no_time() -> None:
    source = Source("/videos/raw.h264")
    times = []
    for number in range(6):
        times.append(source.gives(None, number * STEP).seconds)
        if number % 2:
            source.arrivals.second_field(LivePacket(b"", None, False, False))
    assert times[::2] == pytest.approx([0.0, STEP, 2 * STEP])
