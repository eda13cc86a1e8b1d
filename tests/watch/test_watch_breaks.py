"""Events of cameras that break, are silent or end: none is lost or held back. Connections are made up."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from moclip_lite.watch import camera
from moclip_lite.watch.camera import Camera
from moclip_lite.watch.events import Event
from moclip_lite.watch.settings import WatchSettings
from mv_tools import SourceUnavailable
from mv_tools.live.address import Address
from mv_tools.live.items import LiveOptions

from support.live import ScriptedSource
from support.watch import Directions, turns


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.6 s each to the right, to the left and to the right."""
    return turns(tmp_path_factory.mktemp("watch") / "turns.mp4")


@pytest.fixture
def source(clip: Path, monkeypatch: pytest.MonkeyPatch) -> ScriptedSource:
    source = ScriptedSource(clip)
    monkeypatch.setattr(camera, "time", source)
    return source


def watched(
    source: ScriptedSource, connections: list[Iterable[Any]], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[tuple[float, Event]], str]:
    """The events with the time at which they came, and why the camera ended."""

    def reader(address: Address, options: LiveOptions, stop: threading.Event, say: Any) -> Any:
        return source.reader(connections, monkeypatch, options)

    monkeypatch.setattr(camera, "LiveReader", reader)
    model = Directions()
    settings = WatchSettings(window=0.8, stride=0.2)
    address = Address.parse("http://camera/x")
    watching = Camera("door", address, model, model.calibration, settings, threading.Event())
    events: list[tuple[float, Event]] = []
    watching._run(lambda event: events.append((source.now, event)), source.said.append)
    return events, watching.failure


def test_events_before_an_end_for_good_are_given(
    source: ScriptedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = [(0.04, packet) for packet in source.packets]
    events, failure = watched(source, [[*script, (0.0, OSError("gone"))]], monkeypatch)
    assert [event.label for _, event in events] == ["right", "left", "right"]
    assert failure.endswith("gone")


def test_a_silent_camera_holds_no_event_back(source: ScriptedSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """It breaks and stays away; the last event comes a window's length later."""
    script = [(0.04, packet) for packet in source.packets]
    dead = [(0.0, SourceUnavailable("dead"))]
    began = source.now
    events, failure = watched(source, [script, *[dead] * 5], monkeypatch)
    assert [event.label for _, event in events] == ["right", "left", "right"]
    assert events[-1][0] - began == pytest.approx(120 * 0.04 + 0.8, abs=0.01)
    assert failure == ""


def time_of_day(event: Event) -> float:
    assert event.time is not None
    return datetime.fromisoformat(event.time).astimezone(timezone.utc).timestamp()


@pytest.mark.parametrize("back", [0.0, 100.0])
def test_an_event_that_began_before_a_delay_keeps_its_time(
    source: ScriptedSource, monkeypatch: pytest.MonkeyPatch, back: float
) -> None:
    """The camera stands still within the second turn and goes on late, or its clock is set meanwhile."""
    packets = [
        packet._replace(seconds=(packet.seconds or 0.0) - back * (i >= 60))
        for i, packet in enumerate(source.packets)
    ]
    script = [(4.54 if i == 60 else 0.04, packet) for i, packet in enumerate(packets)]
    began = source.time() + 0.04
    events, _ = watched(source, [script], monkeypatch)
    assert [event.label for _, event in events][:2] == ["right", "left"]
    assert time_of_day(events[1][1]) == pytest.approx(began + events[1][1].start, abs=0.05)
    end = source.time() - events[-1][1].end + events[-1][1].start  # the last picture just came
    assert time_of_day(events[-1][1]) == pytest.approx(end, abs=0.1)


def test_no_window_of_what_a_network_held_up_is_dropped(
    source: ScriptedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the beginning comes at once then, and this process is in time."""
    pauses = [0.04] * 10 + [4.4] + [0.0] * 109
    script = list(zip(pauses, source.packets, strict=True))
    events, _ = watched(source, [script], monkeypatch)
    assert [event.label for _, event in events] == ["right", "left", "right"]


def test_the_time_of_an_event_is_when_its_picture_could_be_here(
    source: ScriptedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first second of pictures was kept by the camera and comes at once."""
    script = [(0.04 if i > 25 else 0.0, packet) for i, packet in enumerate(source.packets)]
    began = source.time() - 1.0
    events, _ = watched(source, [script], monkeypatch)
    for _, event in events:
        assert time_of_day(event) == pytest.approx(began + event.start, abs=0.05)
