"""``moclip watch`` as it is called: JSON lines, Ctrl-C, passwords that are shown nowhere, cameras that can't be read."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from moclip_lite import Classifier
from moclip_lite.storage.files import write_json, write_text

from support.cli import assert_ok, moclip
from support.clips import encode, panning
from support.live import free_port, http_server
from support.waiting import until
from support.watch import Directions, turns

SECRET = "s3cret"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.6 s each to the right, to the left and to the right."""
    return turns(tmp_path_factory.mktemp("watch") / "turns.ts")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Directions:
    """The classifier of the run folder "x"."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    write_text(tmp_path / "x" / "config.yaml", "{}")
    write_json(tmp_path / "x" / "labels.json", list(Directions.labels))
    classifier = Directions()
    classifier.warnings = []  # type: ignore[attr-defined]
    monkeypatch.setattr(Classifier, "load", lambda run, **options: classifier)
    return classifier


def paced(video: Path, stop: threading.Event) -> Iterator[bytes]:
    """A recording again and again, faster than it was made."""
    for start in count(step=4 * 188):
        if stop.is_set():
            return
        data = video.read_bytes()
        yield data[start % len(data) :][: 4 * 188]
        time.sleep(0.005)


@pytest.mark.usefixtures("model")
def test_events_are_json_lines(video: Path) -> None:
    done = assert_ok(moclip("watch", f"door={video}", "--model", "x", "--timeout", "0.3"))
    events = [json.loads(line) for line in done.out.splitlines()]
    assert [event["label"] for event in events] == ["right", "left", "right"]
    assert {event["camera"] for event in events} == {"door"}
    assert re.search(rf"door: 4\.8 s, \d+ windows, {len(events)} events", done.err)
    again = assert_ok(
        moclip("watch", str(video), "--model", "x", "--timeout", "0.3", "--events", "e.jsonl", "-q")
    )
    assert again.out == ""
    assert len(Path("e.jsonl").read_text(encoding="utf-8").splitlines()) == len(events)


@pytest.mark.usefixtures("model")
def test_a_recording_shorter_than_a_window_is_counted(video: Path) -> None:
    words = ("--window", "6", "--threshold", "0", "--timeout", "0.3")
    done = assert_ok(moclip("watch", f"door={video}", "--model", "x", *words))
    events = done.out.splitlines()
    assert len(events) == 1
    assert "door: 4.8 s, 1 windows, 1 events" in done.err


@pytest.mark.usefixtures("model")
def test_cameras_that_can_not_be_read_end_with_a_sentence(video: Path, tmp_path: Path) -> None:
    """The others are watched to their end."""
    other = encode(tmp_path / "mpeg4.ts", panning(), "mpeg4", g="12")
    sources = [f"good={video}", f"old={other}", "gone=no.ts"]
    done = moclip("watch", *sources, "--model", "x", "--timeout", "0.3")
    assert done.code == 2
    assert "no H.264 or HEVC video (the source holds: mpeg4)" in done.err
    assert "camera gone ended: no.ts: No such file or directory" in done.err
    assert "Traceback" not in done.err
    assert len(done.out.splitlines()) == 3


def test_ctrl_c_ends_and_no_password_is_printed(video: Path, model: Directions) -> None:
    """A camera that is watched beside ones that refuse, that do not listen and whose host does not exist."""
    ended, before = threading.Event(), signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupted: list[float] = []

    def interrupt() -> None:
        with suppress(AssertionError):
            until(lambda: model.windows >= 10 or ended.is_set())
        interrupted.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    with (
        http_server(lambda number: paced(video, ended)) as url,
        http_server(lambda number: [], 401) as closed,
    ):
        secret = [address.replace("//", f"//user:{SECRET}@") + f"?key={SECRET}" for address in (url, closed)]
        sources = [f"good={secret[0]}", f"closed={secret[1]}"]
        sources.append(f"silent=rtsp://user:{SECRET}@127.0.0.1:{free_port()}/x")
        sources.append(f"nowhere=rtsp://user:{SECRET}@no-such-host.invalid/x")
        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            done = moclip("watch", *sources, "--model", "x", "--max-lag", "600")
        finally:
            ended.set()
            thread.join()
            signal.signal(signal.SIGINT, before)
    assert done.code == 130
    assert SECRET not in done.out + done.err
    assert "wrong user name or password; connecting again" in done.err
    assert done.err.splitlines()[-1] == "ended"
    assert "nothing listens there; connecting again" in done.err
    assert "no such host; connecting again" in done.err
    assert "Traceback" not in done.err
    events = [json.loads(line) for line in done.out.splitlines()]
    assert {event["camera"] for event in events} == {"good"}
    assert np.all(np.diff([event["start"] for event in events]) > 0)
