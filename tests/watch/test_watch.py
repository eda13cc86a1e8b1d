"""moclip watch: events of several cameras, late windows, cameras that break, and where events go."""

from __future__ import annotations

import io
import json
import math
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moclip_lite.errors import CheckpointError
from moclip_lite.results.calibration import Calibration
from moclip_lite.timeline.model import WindowScore
from moclip_lite.timeline.segments import join_windows
from moclip_lite.timeline.timeline import Segment
from moclip_lite.watch import run, sinks
from moclip_lite.watch.events import MAX_UNDECIDED, Event, EventJoiner
from moclip_lite.watch.mqtt import Mqtt, topic_level
from moclip_lite.watch.run import Watch, named_sources
from moclip_lite.watch.settings import WatchSettings
from moclip_lite.watch.sinks import Background, Command, JsonLines
from mv_tools import ArgumentError, SourceUnavailable
from mv_tools.live import reader

from support.live import free_port, http_server, require_mosquitto
from support.waiting import PATIENCE, until
from support.watch import Directions, turns

EVENT = Event("door", 1.0, 2.5, "left", 0.9, 0.25, "2026-01-01T00:00:00.000+00:00")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.6 s each to the right, to the left and to the right."""
    return turns(tmp_path_factory.mktemp("watch") / "turns.ts")


class Events:
    """A sink that keeps events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def put(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        """Nothing to do."""

    def of(self, camera: str) -> list[Event]:
        return [event for event in self.events if event.camera == camera]


def watched(sources: list[str], **settings: Any) -> tuple[Events, list[str], list[str], Watch]:
    sink, said = Events(), list[str]()
    watch = Watch.of(sources, Directions(), WatchSettings(**{"timeout": 0.3, **settings}))
    failures = watch.run([sink], said.append)
    return sink, said, failures, watch


def test_our_own_threads_are_not_given_a_second_try(request: pytest.FixtureRequest) -> None:
    """Tests of this module that start a broker are, which is not ours."""
    tests = [test for test in request.session.items if test.path == request.node.path]
    again = [test for test in tests if test.get_closest_marker("flaky")]
    assert request.node not in again
    assert all("mqtt" in test.name for test in again)


def labels(events: list[Event]) -> list[str]:
    return [event.label for event in events]


def test_events_of_a_file(video: Path) -> None:
    sink, _, failures, watch = watched([f"door={video}"])
    assert failures == []
    assert labels(sink.events) == ["right", "left", "right"]
    for event, start in zip(sink.events, (0.0, 1.6, 3.2), strict=True):
        assert (event.start, event.end) == pytest.approx((start, start + 1.6), abs=0.4)  # half a window
        assert event.camera == "door"
        assert event.score > 0.4
        assert event.time is None  # a file may have been recorded at any time
    assert "door: 4.8 s" in watch.summary()[0]


def test_several_cameras_and_one_that_dies(video: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.ts"
    broken.write_bytes(b"no video" * 1000)
    sink, said, failures, _ = watched([f"a={video}", f"b={video}", f"c={broken}", "d=/no/such/file.ts"])
    assert labels(sink.of("a")) == labels(sink.of("b")) == ["right", "left", "right"]
    assert len(failures) == 2
    assert sum("camera c ended" in text or "camera d ended" in text for text in said) == 2


def test_an_error_in_one_camera_is_told_and_the_others_go_on(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Directions()
    model.motion_features = lambda motion: 1 / 0  # type: ignore[method-assign,assignment]
    reports: list[str] = []
    monkeypatch.setattr("moclip_lite.watch.camera.report_bug", lambda name, error: reports.append(name))
    watch = Watch.of([f"a={video}"], model, WatchSettings(timeout=0.3))
    assert "an error in this program" in watch.run([Events()], lambda text: None)[0]
    assert reports == [str(video)]


@pytest.mark.slow
def test_late_windows_are_dropped_and_counted(video: Path) -> None:
    """A model slower than the camera: windows are left out, none waits."""
    model = Directions()
    fast = model.motion_features

    def slow(motion: Any) -> Any:
        time.sleep(0.3)
        return fast(motion)

    model.motion_features = slow  # type: ignore[method-assign]
    data = video.read_bytes()
    pieces = [data[i : i + len(data) // 40] for i in range(0, len(data), len(data) // 40)]

    def paced(request: int) -> Any:
        for piece in pieces:
            time.sleep(0.05)
            yield piece

    with http_server(paced) as url:
        watch = Watch.of([f"a={url}"], model, WatchSettings(max_lag=0.2, timeout=20.0))

        def end() -> None:
            with suppress(AssertionError):
                until(lambda: watch.cameras[0].statistics.dropped >= 3)
            watch.stop.set()

        threading.Thread(target=end).start()
        watch.run([Events()], lambda text: None)
    [counts] = [camera.statistics for camera in watch.cameras]
    assert counts.dropped >= 3
    assert 0 < model.windows <= counts.windows  # behind a loss, one may hold no motion
    assert "windows dropped because they were late" in watch.summary()[0]


@pytest.mark.slow
def test_broken_connections_repeat_no_event(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that break anywhere; other cameras keep all of their events."""
    monkeypatch.setattr(reader, "_FIRST_WAIT", 0.01)
    rng, data, stop = random.Random(3), video.read_bytes(), 6
    requests = iter(range(1000))
    said: list[str] = []
    with http_server(lambda number: [data[: rng.randrange(len(data) // 3, len(data))]]) as url:
        sink = Events()
        watch = Watch.of([f"bad={url}", f"good={video}"], Directions(), WatchSettings(timeout=3.0))

        def say(text: str) -> None:
            said.append(text)
            good = watch.cameras[1].statistics.seconds > 4.5  # into the last turn, which begins at 3.2
            if "connecting again" in text and next(requests) >= stop and good:
                watch.stop.set()

        assert watch.run([sink], say) == []
    spans = sorted((event.start, event.end) for event in sink.of("bad"))
    assert len(spans) > stop // 2
    assert all(a[1] <= b[0] + 1e-3 for a, b in pairwise(spans))
    assert labels(sink.of("good")) == ["right", "left", "right"]


def test_time_stamps_that_jump_back_repeat_no_event(video: Path, tmp_path: Path) -> None:
    """The recording twice: its time stamps begin anew in the middle."""
    twice = tmp_path / "twice.ts"
    twice.write_bytes(2 * video.read_bytes())
    sink, said, failures, watch = watched([f"a={twice}"])
    assert failures == []
    assert any("time stamps jump back" in text for text in said)
    assert labels(sink.events)[:3] == labels(sink.events)[-3:] == ["right", "left", "right"]
    assert all(a.end <= b.start + 1e-3 for a, b in pairwise(sink.events))
    assert watch.cameras[0].statistics.seconds == pytest.approx(9.6, abs=0.2)


@pytest.mark.slow
def test_raw_pictures_are_encoded_on_the_way() -> None:
    """A libavfilter graph in place of a webcam: a texture that scrolls."""
    graph = "lavfi:cellauto=size=128x96:rule=110:rate=25,scroll=horizontal=0.02,trim=duration=2"
    _, _, failures, watch = watched([f"cam={graph}"])
    assert failures == []
    assert watch.cameras[0].statistics.windows >= 5
    assert watch.cameras[0].statistics.reading.frames == 50


LABELS = ("a", "b", "c", "d")


def window(start: float, label: int | None) -> WindowScore:
    row = np.full(4, 0.25, np.float32)
    if label is not None:
        row[:] = 0.02
        row[label] = 0.94
    return WindowScore(start, start + 1.0, {"motion": row}, 1.0)


def noisy_windows(seed: int, noise: float, stride: float, gaps: bool) -> list[WindowScore]:
    """Windows of a second over actions and pauses of 0.5 to 15 s, some of them missing."""
    rng = np.random.default_rng(seed)
    lengths = rng.uniform(0.5, 15, 20)
    bounds, states = np.concatenate([[0], lengths.cumsum()]), rng.integers(-1, 3, 20)
    scores = []
    for start in np.arange(0, bounds[-1] - 1, stride).tolist():
        cover = np.clip(np.minimum(bounds[1:], start + 1) - np.maximum(bounds[:-1], start), 0, None)
        row = 0.9 * np.array([cover[states == state].sum() for state in range(4)]) + 0.03
        row += noise * rng.random(4)
        if not (gaps and rng.random() < 0.1):
            row = (row / max(1.0, row.sum())).astype(np.float32)
            scores.append(WindowScore(start, start + 1.0, {"motion": row}, 1.0))
    return scores


def joined(scores: list[WindowScore], stride: float, patience: float, gaps: bool) -> list[Segment]:
    joiner = EventJoiner(LABELS, Calibration(), window=1.0, stride=stride, threshold=0.5, patience=patience)
    given = []
    for score in scores:
        for segment in joiner.add(score):
            latest = 1.0 + stride * (min(patience, 60) // stride)  # a window behind its end, and the patience
            assert 0 <= score.end - segment.end <= latest + (10 if gaps else 1e-6)
            given.append(segment)
    return given + joiner.finish()


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("gaps", [False, True])
def test_events_are_the_segments_of_a_timeline(noise: float, gaps: bool) -> None:
    """Of a file to the digit, nearly always; of a camera up to what is decided before more is seen."""
    equal, segments, events = [], 0, 0
    for seed in range(8):
        stride = (0.25, 0.25, 0.5, 1.0)[seed % 4]
        scores = noisy_windows(seed, noise, stride, gaps)
        whole = join_windows(scores, LABELS, Calibration(), threshold=0.5, shortest=0.5)
        given, live = (joined(scores, stride, patience, gaps) for patience in (math.inf, MAX_UNDECIDED))
        for found in (given, live):
            assert all(a.end <= b.start + 1e-6 for a, b in pairwise(found))
            assert not any(a.label == b.label and b.start - a.end < 1e-6 for a, b in pairwise(found))
        equal.append([(s.start, s.end, s.label) for s in given] == [(s.start, s.end, s.label) for s in whole])
        if equal[-1]:
            assert [s.score for s in given] == pytest.approx([s.score for s in whole])
        segments, events = segments + len(whole), events + len(live)
    assert sum(equal) >= 7
    assert segments <= events + 2
    assert events <= 1.15 * segments + 1


@pytest.mark.slow
def test_a_long_event_is_given_in_parts_and_memory_is_bounded() -> None:
    joiner = EventJoiner(LABELS, Calibration(), window=1.0, stride=0.25, threshold=None)
    segments, most = [], 0
    for i in range(600):
        segments += joiner.add(window(i * 0.25, 0))
        most = max(most, len(joiner._scores))
    assert joiner.add(WindowScore(200.0, 200.0)) == []  # of a single picture
    segments += joiner.finish()
    assert most <= 6
    assert len(segments) == 3  # of sixty windows' lengths
    assert segments[0].start == 0.0
    assert segments[-1].end == pytest.approx(150.75)
    assert all(a.end == pytest.approx(b.start) for a, b in pairwise(segments))


def test_names() -> None:
    names = [
        name
        for name, _ in named_sources(["a=x.ts", "rtsp://u:pw@h/s?k=1", "rtsp://u:pw@h/s?k=2", "/v/a=b.ts"])
    ]
    assert names == ["a", "rtsp://h/s", "rtsp://h/s#2", "/v/a=b.ts"]
    for sources, message in (
        (["a=x", "a=y"], "named 'a'"),
        (["-", "b=-"], "once only"),
        (["ftp://h/x"], "not opened"),
    ):
        with pytest.raises(ArgumentError, match=message):
            named_sources(sources)


def test_settings_that_do_not_fit() -> None:
    with pytest.raises(ArgumentError, match="stride of 2 s is longer"):
        Watch.of(["x"], Directions(), WatchSettings(stride=2.0))
    model = Directions()
    model.calibration = Calibration()
    with pytest.raises(CheckpointError, match="--window"):
        Watch.of(["x"], model, WatchSettings())


def test_json_lines(tmp_path: Path) -> None:
    stream = io.StringIO()
    JsonLines(stream).put(EVENT)
    line = json.loads(stream.getvalue())
    assert list(line) == ["camera", "start", "end", "label", "score", "latency", "time"]
    for _ in range(2):
        sink = JsonLines.append(tmp_path / "events.jsonl")
        sink.put(EVENT)
        sink.close()
    lines = (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(text) for text in lines] == [line, line]


@pytest.mark.parametrize("how", ["moved", "removed", "replaced", "truncated"])
def test_events_follow_a_file_that_is_rotated(tmp_path: Path, how: str) -> None:
    path = tmp_path / "events.jsonl"
    sink = JsonLines.append(path)
    sink.put(EVENT)
    if how == "moved":
        path.rename(tmp_path / "events.jsonl.1")
    elif how == "truncated":
        os.truncate(path, 0)
    else:
        path.unlink()
        if how == "replaced":
            path.touch()
    sink.put(EVENT)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1
    sink.close()


def test_events_begin_a_line_behind_one_that_a_full_disk_cut(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"camera": "do', encoding="utf-8")
    sink = JsonLines.append(path)
    sink.put(EVENT)
    sink.close()
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[1])["camera"] == EVENT.camera


def test_a_command_runs_without_a_shell(tmp_path: Path) -> None:
    """What an event holds stays one argument."""
    said: list[str] = []
    code = "import sys; open(sys.argv[1], 'w').write(repr(sys.argv[2:]) + sys.stdin.read())"
    evil = Event("$(touch x); `y`", 0.0, 1.0, "a b; rm -rf {camera}", 0.5, 0.0, "")
    line = f"{sys.executable} -c \"{code}\" '{tmp_path}/out' {{label}} '{{camera}} at {{start}}'"
    Command(line, said.append).put(evil)
    text = (tmp_path / "out").read_text(encoding="utf-8")
    assert text.startswith(repr(["a b; rm -rf {camera}", "$(touch x); `y` at 0.0"]))
    assert json.loads(text[text.index("]") + 1 :])["label"] == evil.label
    Command(
        f"{sys.executable} -c \"{code}\" '{tmp_path}/out' '{{score:.2f}}' '{{{{\"a\":1}}}}'", said.append
    ).put(EVENT)
    assert (tmp_path / "out").read_text(encoding="utf-8").startswith(repr(["0.90", '{"a":1}']))
    for bad, message in (
        ("", "no program"),
        ("'", "quotation"),
        ("true {nothing}", "unknown field"),
        ("true {label:.2f}", "unknown field or format"),
        ("""true '{"a": 1}'""", "braces twice"),
        ("/no/such/program", "there is no program '/no/such/program'"),
    ):
        with pytest.raises(ArgumentError, match=message):
            Command(bad, said.append)
    assert said == []
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    command = Command(str(program), said.append)
    program.unlink()
    command.put(EVENT)
    Command(f"{sys.executable} -c 'raise SystemExit(3)'", said.append).put(EVENT)
    assert "no such file" in said[0]
    assert "exit code 3" in said[1]


def _state(process: Path) -> str:
    """Of a process by its folder in /proc; Z where nobody asked for its end, nothing where there is none."""
    try:
        return (process / "stat").read_text().split()[2]
    except OSError:
        return ""


def test_a_command_does_not_outlive_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what it has started."""
    monkeypatch.setattr(sinks, "_CLOSE_SECONDS", 0.2)
    script = tmp_path / "script.sh"
    script.write_text(f"sleep 600 &\necho $! > {tmp_path}/new && mv {tmp_path}/new {tmp_path}/pid\nwait\n")
    said: list[str] = []
    sink = Background(Command(f"sh {script}", said.append), "--exec", said.append)
    for _ in range(3):
        sink.put(EVENT)
    until((tmp_path / "pid").exists)
    sink.close()
    process = Path("/proc", (tmp_path / "pid").read_text().strip())
    until(lambda: _state(process) in ("", "Z"))
    until(lambda: not sink._thread.is_alive())
    assert said == ["--exec: ended within an event after 0.2 s, 2 more were not given"]


def test_what_was_scored_is_given_of_a_camera_that_does_not_end(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread waits for the network, where no stop is noticed."""
    read, free = threading.Event(), threading.Event()
    items = reader.LiveReader.items

    def stall(self: reader.LiveReader) -> Iterator[object]:
        yield from items(self)
        read.set()
        free.wait()

    monkeypatch.setattr(reader.LiveReader, "items", stall)
    monkeypatch.setattr(run, "_JOIN_SECONDS", 0.1)
    events, said = Events(), list[str]()
    watch = Watch.of([f"door={video}"], Directions(), WatchSettings(window=0.8, stride=0.2, timeout=0.3))
    threading.Thread(target=lambda: (read.wait(), watch.stop.set())).start()
    watch.run([events], said.append)
    given = [event.label for event in events.events]
    free.set()
    until(lambda: not watch.cameras[0].alive)
    assert given == ["right", "left", "right"]
    assert [event.label for event in events.events] == given
    assert said == []


def test_a_slow_sink_holds_nothing_back() -> None:
    started, free = threading.Event(), threading.Event()

    class Slow(Events):
        def put(self, event: Event) -> None:
            started.set()
            free.wait()
            super().put(event)

    said: list[str] = []
    slow = Slow()
    sink = Background(slow, "--exec", said.append)
    sink.put(EVENT)
    assert started.wait(PATIENCE)
    for _ in range(300):
        sink.put(EVENT)
    assert sink.dropped == 300 - 256
    assert said == ["--exec is behind: events for it are dropped"]
    free.set()
    sink.close()
    assert len(slow.events) == 257
    assert said[1:] == ["--exec: 44 events were dropped"]


def test_mqtt_refusals(hide_package: Callable[[str], None]) -> None:
    pytest.importorskip("paho.mqtt.client")
    for url in ("http://h/x", "mqtt://", "mqtt://h:port/x"):
        with pytest.raises(ArgumentError, match="mqtt://HOST"):
            Mqtt(url)
    with pytest.raises(ArgumentError, match="wildcard"):
        Mqtt("mqtt://h/a/%23")
    for url in ("mqtt://h/a?b", "mqtt://h/a#b"):
        with pytest.raises(ArgumentError, match="goes on behind the topic"):
            Mqtt(url)
    for url in ("mqtt://user:s3/cret@h/x", "mqtt://user:s3#cret@h/x"):
        with pytest.raises(ArgumentError, match="write / as %2F") as raised:
            Mqtt(url)
        assert "cret" not in str(raised.value)
    with pytest.raises(ArgumentError, match="wildcard") as raised:
        Mqtt("mqtt://user:s3@a/cret+@h/x")
    assert "cret" not in str(raised.value)
    for url in ("mqtt://@127.0.0.1:{}/cams/a@b", "mqtt://u:s3cret@127.0.0.1:{}/a@b"):
        with pytest.raises(SourceUnavailable) as raised:
            Mqtt(url.format(free_port()))
        assert "cret" not in str(raised.value)
    with pytest.raises(SourceUnavailable, match="refused") as raised:
        Mqtt(f"mqtt://user:s3cret@127.0.0.1:{free_port()}/x")
    assert "s3cret" not in str(raised.value)
    hide_package("paho.mqtt")
    with pytest.raises(ArgumentError, match=r"moclip-lite\[mqtt\]"):
        Mqtt("mqtt://h/x")


@contextmanager
def broker_of(folder: Path, port: int, *lines: str) -> Iterator[None]:
    """Mosquitto on a port."""
    program = require_mosquitto()
    text = "\n".join([f"listener {port} 127.0.0.1", *lines, ""])
    (folder / "m.conf").write_text(text, encoding="utf-8")
    broker = subprocess.Popen([program, "-c", str(folder / "m.conf")], stderr=subprocess.DEVNULL)
    try:
        until(lambda: listens(port))
        yield
    finally:
        broker.terminate()
        broker.wait()


@contextmanager
def subscriber(port: int) -> Iterator[Counter[tuple[str, str]]]:
    """(topic, label) -> how many came."""
    paho = pytest.importorskip("paho.mqtt.client")
    enums = pytest.importorskip("paho.mqtt.enums")
    received: Counter[tuple[str, str]] = Counter()
    ready = threading.Event()
    client = paho.Client(enums.CallbackAPIVersion.VERSION2)
    client.on_subscribe = lambda *_: ready.set()

    def take(client: Any, data: Any, message: Any) -> None:
        received[message.topic, json.loads(message.payload)["label"]] += 1

    client.on_message = take
    client.connect("127.0.0.1", port)
    client.subscribe("cams/#")
    client.loop_start()
    try:
        assert ready.wait(PATIENCE)
        yield received
    finally:
        client.loop_stop()
        client.disconnect()


@pytest.mark.other_programs
@pytest.mark.slow
def test_mqtt(tmp_path: Path) -> None:
    """Through mosquitto on a free port."""
    port = free_port()
    with broker_of(tmp_path, port, "allow_anonymous true"), subscriber(port) as received:
        sink = Mqtt(f"mqtt://127.0.0.1:{port}/cams/{{camera}}/action")
        sink.put(EVENT)
        until(lambda: bool(received))
        sink.close()
    assert received == {("cams/door/action", "left"): 1}


def test_no_two_cameras_have_one_topic() -> None:
    names = ["a/b", "a_b", "a+b", "a#b", "a%2Fb", "rtsp://h/s", "rtsp://h/s#2"]
    levels = [topic_level(name) for name in names]
    assert len(set(levels)) == len(names)
    assert levels[1] == "a_b"
    assert not any(set(level) & set("/+#") for level in levels)


@pytest.mark.other_programs
@pytest.mark.slow
def test_events_that_an_mqtt_broker_does_not_get_are_told(tmp_path: Path) -> None:
    """It leaves, returns with other users, returns, and leaves for good."""
    port, said = free_port(), list[str]()
    with broker_of(tmp_path, port, "allow_anonymous true"):
        sink = Mqtt(f"mqtt://127.0.0.1:{port}/cams/x", said.append)
    until(lambda: len(said) == 1)
    assert "is away" in said[0]
    sink.put(EVENT)
    with broker_of(tmp_path, port, "allow_anonymous false"):
        until(lambda: len(said) == 2)
    assert "refuses the connection (not authorized)" in said[1]
    with broker_of(tmp_path, port, "allow_anonymous true"):
        until(lambda: sink._waiting == 0)  # delivered once it is back
        assert "is back" in said[2]
    until(lambda: len(said) == 4)
    for _ in range(2):
        sink.put(EVENT)
    sink.close()
    assert said[4:] == [f"the MQTT broker 127.0.0.1:{port} did not get 2 events"]


@pytest.mark.other_programs
@pytest.mark.slow
def test_an_mqtt_broker_that_refuses_the_user_is_an_error(tmp_path: Path) -> None:
    """The connection is made, and refused a moment later."""
    pytest.importorskip("paho.mqtt.client")
    port = free_port()
    with broker_of(tmp_path, port, "allow_anonymous false"), pytest.raises(SourceUnavailable) as raised:
        Mqtt(f"mqtt://user:s3cret@127.0.0.1:{port}/x")
    assert "not authorized" in str(raised.value)
    assert "s3cret" not in str(raised.value)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
