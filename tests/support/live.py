"""Live sources on 127.0.0.1: servers of MPEG-TS over HTTP and of RTSP; connections that are made up."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event
from typing import Any

import av
import pytest

from mv_tools.display import Display
from mv_tools.live import reader
from mv_tools.live.address import Address
from mv_tools.live.connection import LivePacket
from mv_tools.live.items import LiveOptions
from mv_tools.live.reader import LiveReader

__all__ = [
    "ScriptedSource",
    "free_port",
    "http_server",
    "require_gstreamer",
    "require_mosquitto",
    "rtsp_server",
]

_PYTHON = "/usr/bin/python3"  # Debian's, for which gi is packaged
_CHECK = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


def free_port() -> int:
    """A port of 127.0.0.1 that nothing uses, outside the range from which the system gives ports to connections."""
    for port in random.SystemRandom().sample(range(10_000, 32_000), 1000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")


@contextmanager
def http_server(send: Callable[[int], Iterable[bytes]], status: int = 200) -> Iterator[str]:
    """Serve what `send` returns for the n-th request, piece by piece, and then close; gives the URL."""
    requests = iter(range(1_000_000))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Connection", "close")
            self.end_headers()
            with suppress(ConnectionError):  # the client left
                for piece in send(next(requests)):
                    self.wfile.write(piece)

        def log_message(self, *arguments: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/stream.ts"
    finally:
        server.shutdown()
        server.server_close()


def require_gstreamer() -> None:
    """Skip the test where GStreamer's RTSP server is not installed."""
    if not Path(_PYTHON).exists() or subprocess.run([_PYTHON, "-c", _CHECK], capture_output=True).returncode:
        pytest.skip(
            "GStreamer's RTSP server is not installed: "
            "apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
        )


@contextmanager
def rtsp_server(files: dict[str, Path], auth: str | None = None) -> Iterator[str]:
    """Serve MP4 files, paced, at paths; gives rtsp://127.0.0.1:PORT."""
    port = free_port()
    script = Path(__file__).with_name("rtsp_server.py")
    options = [] if auth is None else [f"--auth={auth}"]
    paths = [f"{path}={file}" for path, file in files.items()]
    process = subprocess.Popen(
        [_PYTHON, str(script), str(port), *options, *paths], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield f"rtsp://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def require_mosquitto() -> str:
    """The broker's program; skips the test without it."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    return found


class ScriptedSource:
    """Connections that are made up: packets with the seconds that pass before each comes, by a clock of its own.

    Args:
        clip: an MP4 file of H.264, whose packets are sent.
    """

    def __init__(self, clip: Path) -> None:
        with av.open(str(clip)) as container:
            video = container.streams.video[0]
            self.extradata = bytes(video.codec_context.extradata or b"")
            self.packets = [
                LivePacket(bytes(packet), float(packet.pts * video.time_base), packet.is_keyframe, False)
                for packet in container.demux(video)
                if packet.size and packet.pts is not None
            ]
        self.now = 1000.0
        self.said: list[str] = []

    def reader(
        self,
        connections: Sequence[Iterable[tuple[float, LivePacket | Exception]]],
        monkeypatch: pytest.MonkeyPatch,
        options: LiveOptions,
    ) -> LiveReader:
        """Reads the connections one after the other, and ends behind the last one."""
        stop, left = Event(), list(connections)
        options = replace(options, pause=0.0)  # the script has all times
        source = LiveReader(Address.parse("http://camera/x"), options, stop, self.said.append)

        def opened() -> Any:
            return _Scripted(self, left.pop(0), stop if not left else None)

        monkeypatch.setattr(reader, "time", self)
        monkeypatch.setattr(source, "_open", opened)
        monkeypatch.setattr(stop, "wait", self.pass_time)
        return source

    def monotonic(self) -> float:
        """In place of `time.monotonic`."""
        return self.now

    def time(self) -> float:
        """In place of `time.time`."""
        return self.now + 1e9

    def pass_time(self, seconds: float) -> bool:
        """In place of waiting."""
        self.now += seconds
        return False


class _Scripted:
    """One of the connections."""

    codec, display, step, end, choice = "h264", Display(), 0.04, "", ""

    def __init__(self, source: ScriptedSource, script: Any, stop: Event | None) -> None:
        self.extradata, self._source, self._script, self._stop = source.extradata, source, script, stop

    def packets(self) -> Iterator[LivePacket]:
        for seconds, packet in self._script:
            self._source.now += seconds
            if isinstance(packet, Exception):
                raise packet
            yield packet

    def close(self) -> None:
        if self._stop is not None:
            self._stop.set()
