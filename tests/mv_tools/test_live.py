"""open_live: growing files, standard input, MPEG-TS over HTTP and UDP, RTSP; reconnection, jumps, refusals."""

from __future__ import annotations

import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mv_tools
from mv_tools import (
    ArgumentError,
    LivePicture,
    MalformedStream,
    MotionDecoder,
    MotionFrame,
    Orientation,
    SourceUnavailable,
    UnsupportedStream,
    flow,
    open_live,
)
from mv_tools.live import reader
from mv_tools.live.address import Address
from mv_tools.live.reader import LiveReader

from support.clips import H264, encode, panning
from support.display import ORIENTATIONS, turned
from support.live import free_port, http_server, require_gstreamer, rtsp_server
from support.stream import same_motion
from support.waiting import PATIENCE

SECRET = "s3cret"


@pytest.fixture
def ts(make_clip: Callable[..., Path]) -> Path:
    """A second of MPEG-TS."""
    return make_clip("a.ts", frames=25, g="8", bf="2")


def frames_of(items: list[object]) -> list[MotionFrame]:
    return [item for item in items if isinstance(item, MotionFrame)]


def assert_frames(frames: list[MotionFrame], path: Path) -> None:
    expected = list(MotionDecoder(path))
    assert len(frames) == len(expected)
    assert all(same_motion(a, b) for a, b in zip(frames, expected, strict=True))
    assert [frame.index for frame in frames] == list(range(len(frames)))


def test_a_file_that_is_complete(make_clip: Callable[..., Path]) -> None:
    """MP4 has its index at the end."""
    path = make_clip("a.mp4", bf="2")
    with open_live(str(path), timeout=0.2) as source:
        assert_frames(frames_of(list(source)), path)
    assert source.size == (96, 64)


def test_a_file_that_grows(ts: Path, tmp_path: Path) -> None:
    """Its end is not waited for: with a file that may grow, that is `timeout` after the last change."""
    data, growing = ts.read_bytes(), tmp_path / "growing.ts"
    half = len(data) // 2 // 188 * 188
    growing.write_bytes(data[:half])

    def grow() -> None:
        time.sleep(0.2)
        with growing.open("ab") as file:
            file.write(data[half:])

    writer = threading.Thread(target=grow)
    writer.start()
    with open_live(str(growing), timeout=PATIENCE) as source:
        frames = list(islice(source, 20))
    writer.join()
    assert all(same_motion(a, b) for a, b in zip(frames, islice(MotionDecoder(ts), 20), strict=True))


@pytest.mark.slow
def test_standard_input(ts: Path) -> None:
    code = "import mv_tools; print(sum(1 for _ in mv_tools.open_live('-')))"
    done = subprocess.run(
        [sys.executable, "-c", code], input=ts.read_bytes(), capture_output=True, check=True
    )
    assert int(done.stdout) == 25


def test_what_ended_stays_ended(ts: Path) -> None:
    """Iterating again gives no frames."""
    with open_live(str(ts), timeout=0.1) as source:
        assert len(list(source)) == 25
        assert list(source) == []


def test_an_error_at_the_end_is_raised_each_time(ts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(reader: LiveReader) -> Iterator[Any]:
        reader.close()
        raise SourceUnavailable("gone")
        yield

    monkeypatch.setattr(LiveReader, "items", broken)
    with open_live(str(ts), timeout=0.1) as source:
        for _ in range(2):
            with pytest.raises(SourceUnavailable, match="gone"):
                list(source)


def test_http_with_pictures(ts: Path) -> None:
    with http_server(lambda request: [ts.read_bytes()]) as url:
        items = list(open_live(url, reconnect=False, pictures=True))
    assert_frames(frames_of(items), ts)
    pictures = [item for item in items if isinstance(item, LivePicture)]
    keyframes = [frame for frame in frames_of(items) if frame.is_keyframe]
    assert [p.seconds for p in pictures] == pytest.approx([f.pts_seconds for f in keyframes])
    assert {p.rgb.shape for p in pictures} == {(64, 96, 3)}
    order = [type(item).__name__ for item in items]
    assert order[0] == "LivePicture"  # before the frames of its time


def test_udp(ts: Path) -> None:
    port, stop = free_port(), threading.Event()

    def send() -> None:
        data = ts.read_bytes()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not stop.is_set():
                for start in range(0, len(data), 7 * 188):
                    sender.sendto(data[start : start + 7 * 188], ("127.0.0.1", port))
                    time.sleep(0.002)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with open_live(f"udp://127.0.0.1:{port}", timeout=PATIENCE) as source:
            frames = [frame for frame, _ in zip(source, range(60), strict=False)]
    finally:
        stop.set()
        thread.join()
    times = [frame.pts_seconds for frame in frames]
    assert all(a < b for a, b in pairwise(times))  # the sender's time stamps begin anew after each second


@pytest.mark.parametrize("scheme", ["udp", "rtp"])
def test_a_port_in_use_is_told(scheme: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(SourceUnavailable, match="the port is in use"):
            open_live(f"{scheme}://127.0.0.1:{taken.getsockname()[1]}", timeout=1.0)


def test_rtp_with_lost_and_reordered_packets(ts: Path) -> None:
    """What arrives is right: pictures behind a loss are left out up to the next keyframe."""
    port, stop, rng = free_port(), threading.Event(), random.Random(2)
    data = ts.read_bytes()

    def send() -> None:
        number = 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not stop.is_set():
                held: list[bytes] = []
                for start in range(0, len(data), 7 * 188):
                    # Payload type 33: MPEG-TS.
                    header = struct.pack(">BBHII", 0x80, 33, number & 0xFFFF, start, 7)
                    number += 1
                    held.append(header + data[start : start + 7 * 188])
                    if rng.random() < 0.2 and len(held) == 1:
                        continue  # sent behind the next one
                    for packet in reversed(held):
                        if rng.random() > 0.05:
                            sender.sendto(packet, ("127.0.0.1", port))
                        time.sleep(0.002)
                    held.clear()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with open_live(f"rtp://127.0.0.1:{port}", timeout=PATIENCE) as source:
            frames = frames_of([frame for frame, _ in zip(source, range(100), strict=False)])
            counts = source.statistics
    finally:
        stop.set()
        thread.join()
    assert counts.losses > 0
    assert counts.skipped > 0
    expected = list(MotionDecoder(ts))
    assert all(any(same_motion(frame, other) for other in expected) for frame in frames)
    assert all((a.pts_seconds or 0) < (b.pts_seconds or 0) for a, b in pairwise(frames))


def test_reconnects(ts: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Each connection breaks somewhere; times and indices go on, and no password is printed."""
    monkeypatch.setattr(reader, "_FIRST_WAIT", 0.02)
    rng, data = random.Random(0), ts.read_bytes()
    with http_server(lambda request: [data[: rng.randrange(len(data) // 2, len(data))]]) as url:
        secret = url.replace("//", f"//user:{SECRET}@") + f"?token={SECRET}"
        with open_live(secret) as source:
            frames = [frame for frame, _ in zip(source, range(80), strict=False)]
    assert source.statistics.connections >= 4
    indices = [frame.index for frame in frames]
    assert all(a < b for a, b in pairwise(indices))
    times = [frame.pts_seconds for frame in frames]
    assert all(a < b for a, b in pairwise(times))
    assert "connecting again" in caplog.text
    assert SECRET not in caplog.text
    assert SECRET not in source.name


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("rtsp://u:s3cret@no-such-host.invalid/x", "no such host"),
        ("http://u:s3cret@127.0.0.1:{port}/x?key=s3cret", "nothing listens there"),
        ("rtsp://u:s3cret@127.0.0.1:{port}/x", "nothing listens there"),
    ],
)
def test_unreachable(url: str, message: str) -> None:
    with pytest.raises(SourceUnavailable, match=message) as raised:
        open_live(url.format(port=free_port()), timeout=20.0)
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__  # the context holds the address


def test_streams_of_another_kind(tmp_path: Path) -> None:
    other = encode(tmp_path / "a.ts", panning(), "mpeg4", g="12")
    with (
        http_server(lambda request: [other.read_bytes()]) as url,
        pytest.raises(UnsupportedStream, match="holds: mpeg4"),
    ):
        open_live(url)
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n"
    with (
        http_server(lambda request: [playlist]) as url,
        pytest.raises(SourceUnavailable, match="no video stream"),
    ):
        open_live(url)
    with pytest.raises(MalformedStream, match="not a video"):
        open_live(str(playlist_file(tmp_path, playlist)), timeout=0.1)


def playlist_file(folder: Path, text: bytes) -> Path:
    (folder / "a.m3u8").write_bytes(text)
    return folder / "a.m3u8"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/a.ts", "not opened"),
        ("concat://a|b", "not opened"),
        ("rtsp:///x", "names no host"),
        ("rtsp://host:99999999/x", "damaged"),
        ("lavfi:testsrc", "moclip watch"),
    ],
)
def test_addresses_that_are_refused(url: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        open_live(url)


def test_arguments(ts: Path) -> None:
    for options in ({"transport": "quic"}, {"timeout": 0.0}, {"order": "random"}):
        with pytest.raises(ArgumentError):
            open_live(str(ts), **options)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        open_live("/no/such/file.ts")


def test_addresses_are_shown_without_secrets() -> None:
    address = Address.parse(f"rtsp://user:{SECRET}@[::1]:554/a/b?key={SECRET}#{SECRET}")
    assert address.name == "rtsp://[::1]:554/a/b"
    assert (address.kind, address.host) == ("network", "::1")
    assert Address.parse("-").kind == "stdin"
    assert Address.parse("C:/a.ts").kind == "file"


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://user:12/{}@cam/s",
        "rtsp://user:{}#x@cam/s",
        "rtsp://user:12?{}@cam/s",
        "rtsp://user:12/3?{}@cam/s",
        "rtsp://user:{}?x=y@cam/s",
    ],
)
def test_a_password_that_is_not_escaped_is_refused_and_not_printed(url: str) -> None:
    """Its part before the first / ? or # would be taken for the host and port, and the rest for the path."""
    with pytest.raises(ArgumentError, match="write / as %2F") as raised:
        Address.parse(url.format(SECRET))
    assert SECRET not in str(raised.value)
    assert "cam" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("rtsp://cam/stream?user=admin&mail=a@b", "rtsp://cam/stream"),
        ("rtsp://cam:554/stream?mail=a@b", "rtsp://cam:554/stream"),
        (f"rtsp://u:{SECRET}@1.2.3.4/monitor?channel=1@2", "rtsp://1.2.3.4/monitor"),
        ("https://cdn.example/@user/live.ts", "https://cdn.example/@user/live.ts"),
        ("https://[::1]/@user/live.ts", "https://[::1]/@user/live.ts"),
        ("https://@cdn.example:8443/@user/live.ts", "https://cdn.example:8443/@user/live.ts"),
        (f"rtsp://u:a@b/{SECRET}@cam/s", "rtsp://***@cam/s"),
        (f"rtsp://us/er:{SECRET}@cam/s", "rtsp://***@cam/s"),
    ],
)
def test_an_at_sign_that_is_in_no_password(url: str, name: str) -> None:
    """It is taken as it is; what may be a password all the same is not shown."""
    address = Address.parse(url)
    assert (address.target, address.name) == (url, name)


def test_an_address_without_a_server_is_no_absent_file() -> None:
    with pytest.raises(OSError, match="can't be reached") as raised:
        MotionDecoder("http://127.0.0.1:1/a.ts")
    assert not isinstance(raised.value, FileNotFoundError)
    assert mv_tools.source.FORMATS.find("hls") < 0


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_turned_recordings_are_shown_upright(tmp_path: Path, orientation: Orientation) -> None:
    path = turned(encode(tmp_path / "x.mp4", panning(), **H264), tmp_path / "turned.mp4", orientation)
    with open_live(str(path), timeout=0.3) as source:
        live = {frame.index: flow(frame) for frame in source}
    for frame in MotionDecoder(path):
        assert np.array_equal(live[frame.index], flow(frame))


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi", "flv"])
def test_formats_that_are_not_opened_over_a_network_are_named(ending: str, tmp_path: Path) -> None:
    data = encode(tmp_path / f"a.{ending}", panning(5), **H264).read_bytes()
    said = r"stream\.ts: it sends neither MPEG-TS nor a raw stream of H\.264 or HEVC$"
    with http_server(lambda _: iter([data])) as url, pytest.raises(MalformedStream, match=said):
        open_live(url, timeout=PATIENCE)


def test_a_server_that_closes_at_once_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        with pytest.raises(SourceUnavailable, match="it ended without any data"):
            open_live(f"tcp://127.0.0.1:{server.getsockname()[1]}", timeout=PATIENCE)
        thread.join()


@pytest.mark.other_programs
@pytest.mark.slow
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_rtsp(make_clip: Callable[..., Path], transport: str) -> None:
    """A camera with a password; a wrong one, and a path that does not exist."""
    require_gstreamer()
    path = make_clip("a.mp4", frames=75, g="12", bf="2")
    with rtsp_server({"/cam": path}, auth=f"user:{SECRET}") as server:
        with pytest.raises(SourceUnavailable, match="wrong user name or password"):
            open_live(f"{server}/cam".replace("//", "//user:wrong@"), timeout=PATIENCE)
        secret = f"{server}/".replace("//", f"//user:{SECRET}@", 1)
        with pytest.raises(SourceUnavailable, match="no such stream"):
            open_live(f"{secret}nothing", timeout=PATIENCE)
        options: Any = {"transport": transport, "pictures": True, "timeout": PATIENCE}
        with open_live(f"{secret}cam", **options) as source:
            items = [item for item, _ in zip(source, range(60), strict=False)]
    expected = {round((frame.pts_seconds or 0) * 25): frame for frame in MotionDecoder(path)}
    frames = frames_of(items)
    assert len(frames) > 40
    assert all(same_motion(frame, expected[round((frame.pts_seconds or 0) * 25)]) for frame in frames[:40])
    assert any(isinstance(item, LivePicture) for item in items)
