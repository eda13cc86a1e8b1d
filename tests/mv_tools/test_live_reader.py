"""Reading over connections that are made up: what is skipped, and what follows a break."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from mv_tools import MotionFrame, SourceUnavailable, UnsupportedStream
from mv_tools.live.items import LiveOptions, Silence
from mv_tools.live.opening import Opening

from support.live import ScriptedSource
from support.waiting import PATIENCE


@pytest.fixture
def source(make_clip: Callable[..., Path]) -> ScriptedSource:
    """Two seconds, with a keyframe every eight pictures."""
    return ScriptedSource(make_clip("a.mp4", frames=50, g="8", bf="0"))


def frames_of(items: object) -> list[MotionFrame]:
    return [item for item in items if isinstance(item, MotionFrame)]  # type: ignore[attr-defined]


def test_a_source_that_goes_on_late_is_read(source: ScriptedSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands still for 4.5 s: nothing newer can be had, so nothing is skipped."""
    script = [(0.04, packet) for packet in source.packets]
    script[20] = 4.54, script[20][1]
    reader = source.reader([script], monkeypatch, LiveOptions(max_lag=1.0))
    assert len(frames_of(reader.items())) == 50
    assert reader.statistics.dropped == 0


def test_a_break_behind_a_stall_leaves_no_lag(
    source: ScriptedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second connection sends what it has kept, without a wait."""
    stalled = [(4.5 if i == 20 else 0.0, packet) for i, packet in enumerate(source.packets[:30])]
    reader = source.reader(
        [stalled, [(0.0, packet) for packet in source.packets]], monkeypatch, LiveOptions(max_lag=1.0)
    )
    frames = frames_of(reader.items())
    assert len(frames) == 80
    assert reader.statistics.dropped == 0
    assert reader.lag.of(frames[-1].pts_seconds or 0.0, source.now) == pytest.approx(0.0, abs=0.01)


def test_packets_are_skipped_where_the_reader_is_behind_and_that_is_said_once(
    source: ScriptedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes the frames needs two seconds for one of them, twice."""
    reader = source.reader(
        [[(0.0, packet) for packet in source.packets]], monkeypatch, LiveOptions(max_lag=1.0)
    )
    for number, _ in enumerate(reader.items()):
        if number in (5, 12):
            source.now += 2.0
    assert reader.statistics.dropped > 20
    assert sum("reading is behind" in text for text in source.said) == 1


def test_a_camera_without_video_is_connected_anew(
    source: ScriptedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sound goes on: data come, and no video."""
    script = [(0.04, packet) for packet in source.packets]
    sound = [(0.1, None)] * 100
    reader = source.reader([[*script, *sound], script], monkeypatch, LiveOptions(silence=1.0))
    began = source.now
    items = [(source.now - began, item) for item in reader.items()]
    assert len(frames_of(item for _, item in items)) == 100
    (silent,) = [seconds for seconds, item in items if isinstance(item, Silence)]
    assert silent == pytest.approx(2.0 + 1.0, abs=0.11)
    assert [text for text in source.said if "no video came for 5 s, but other data; connecting again" in text]


def test_packets_without_pictures_are_told(source: ScriptedSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """The codec has changed: a network source is asked for it again."""
    script = [(0.04, packet) for packet in source.packets]
    other = [(0.04, packet._replace(data=b"\0\0\0\1\x40\1\x0c")) for packet in 30 * source.packets[:40]]
    reader = source.reader([[*script, *other], script], monkeypatch, LiveOptions())
    assert len(frames_of(reader.items())) == 100
    assert [text for text in source.said if "its packets gave no picture for 30 s; connecting" in text]
    reader = source.reader([[*script, *other[:100]]], monkeypatch, LiveOptions())
    assert len(frames_of(reader.items())) == 50
    assert [text for text in source.said if "its last 100 packets gave no pictures" in text]


def test_a_camera_that_was_read_may_answer_anything(
    source: ScriptedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that starts anew; the first answer of another kind is an error."""
    script = [(0.04, packet) for packet in source.packets]
    other = [(0.0, UnsupportedStream("no H.264"))]
    reader = source.reader([script, other, script], monkeypatch, LiveOptions())
    assert len(frames_of(reader.items())) == 100
    assert any("no H.264; connecting again" in text for text in source.said)
    with pytest.raises(UnsupportedStream):
        list(source.reader([other, script], monkeypatch, LiveOptions()).items())


def test_silence_is_told_once(source: ScriptedSource, monkeypatch: pytest.MonkeyPatch) -> None:
    script = [(0.04, packet) for packet in source.packets]
    dead = [(0.0, SourceUnavailable("dead"))]
    reader = source.reader([script, dead, dead, dead, script], monkeypatch, LiveOptions(silence=1.2))
    items = [(isinstance(item, Silence), source.now) for item in reader.items()]
    assert [silent for silent, _ in items] == [False] * 50 + [True] + [False] * 50
    assert items[50][1] - items[49][1] == pytest.approx(1.2, abs=0.01)


def test_silence_is_given_while_a_host_does_not_answer(
    source: ScriptedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second connection is made once the silence was given, and not before."""
    script = [(0.04, packet) for packet in source.packets]
    reader = source.reader([script, script], monkeypatch, LiveOptions(silence=0.6))
    given, opens = Event(), [reader._open]

    def answers_late() -> object:
        assert source.said == [] or given.wait(PATIENCE)
        return opens[0]()

    monkeypatch.setattr(reader, "_open", answers_late)
    silent = []
    for item in reader.items():
        silent.append(isinstance(item, Silence))
        if silent[-1]:
            given.set()
    assert silent == [False] * 50 + [True] + [False] * 50
    assert reader.statistics.connections == 2


def test_packets_behind_a_silence_end_none_where_the_connection_breaks(
    source: ScriptedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the last ones of MPEG-TS, which come out where the connection is given up."""
    script = [(0.04, packet) for packet in source.packets]
    late = [(5.0, script[30][1]), (0.0, script[31][1])]
    broken = [*script[:30], *late, (0.0, SourceUnavailable("no data"))]
    reader = source.reader([broken, script], monkeypatch, LiveOptions(silence=0.8))
    items, ended = [], 0.0
    for item in reader.items():
        items.append(isinstance(item, Silence))
        if items[-1]:
            ended = source.now
    assert items == [False] * 32 + [True] + [False] * 50
    assert ended - 1000.0 == pytest.approx(30 * 0.04 + 5.0, abs=0.01)  # at once


def test_a_source_that_stands_still_and_goes_on_gives_no_silence(
    source: ScriptedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = [(5.0 if i == 30 else 0.04, packet) for i, packet in enumerate(source.packets)]
    reader = source.reader([script], monkeypatch, LiveOptions(silence=0.8))
    assert not any(isinstance(item, Silence) for item in reader.items())


def test_a_connection_that_nobody_takes_is_closed() -> None:
    closed, answer = Event(), Event()

    class Connection:
        def close(self) -> None:
            closed.set()

    def opens() -> Connection:
        answer.wait(PATIENCE)
        return Connection()

    opening = Opening(opens)
    assert not opening.wait(0.0)
    opening.leave()
    answer.set()
    assert closed.wait(PATIENCE)
