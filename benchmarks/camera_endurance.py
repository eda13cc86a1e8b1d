"""What broken connections do to live cameras, a day of pictures to memory, and many cameras to the latency of events.

    python benchmarks/camera_endurance.py kills      200 broken connections of one camera beside three others
    python benchmarks/camera_endurance.py day        memory over a day's worth of pictures
    python benchmarks/camera_endurance.py latency --cameras 10 --size 1080p30
                                                     how late events of paced cameras come, and how long ending takes

`kills` and `latency` need GStreamer's RTSP server (see docs/live-cameras.md). The model is that of cameras.py.
"""

from __future__ import annotations

import argparse
import random
import resource
import socket
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

import av
from camera_setup import SIZES, WINDOW, Collected, RandomNetwork, TurningNetwork, rtsp, write_camera

from moclip_lite.results.calibration import Calibration
from moclip_lite.timeline.geometry import FrameGeometry
from moclip_lite.timeline.scorer import WindowScorer
from moclip_lite.watch.events import EventJoiner
from moclip_lite.watch.run import Watch
from moclip_lite.watch.settings import WatchSettings
from mv_tools import MotionStream
from mv_tools.live import reader


class KillingProxy:
    """Forwards TCP to a server; `kill` closes what is open."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._target))
            self._open += [client, server]
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass

    def kill(self) -> bool:
        sockets, self._open = self._open, []
        for one in sockets:
            one.close() if one.fileno() < 0 else one.shutdown(socket.SHUT_RDWR)
        return bool(sockets)


def kills(arguments: argparse.Namespace) -> None:
    """Random kills of one camera's connection."""
    reader._FIRST_WAIT, reader._RECOVERED_AFTER = 0.1, 0.0  # type: ignore[misc]  # waits do not grow
    model, rng, sink = RandomNetwork(), random.Random(0), Collected()
    with tempfile.TemporaryDirectory() as folder:
        path = write_camera(
            Path(folder) / "cam.mp4", "640x360", "500k", 60 + 2 * arguments.kills, arguments.clip
        )
        with rtsp(path) as url:
            proxy = KillingProxy(int(url.split(":")[2].split("/")[0]))
            sources = [f"bad=rtsp://127.0.0.1:{proxy.port}/cam", *(f"good{i}={url}" for i in range(3))]
            watch = Watch.of(sources, model, WatchSettings(threshold=0.0, window=1.0, max_lag=10.0))

            def kill() -> None:
                killed = 0
                while killed < arguments.kills:
                    time.sleep(rng.uniform(0.2, 2.0))
                    killed += proxy.kill()
                time.sleep(2.0)
                watch.stop.set()

            threading.Thread(target=kill, daemon=True).start()
            failures = watch.run([sink], lambda text: None)
    spans = sorted((event.start, event.end) for event in sink.events if event.camera == "bad")
    twice = sum(a[1] > b[0] + 1e-3 for a, b in pairwise(spans))
    print(
        f"{arguments.kills} kills: {watch.cameras[0].statistics.reading.connections} connections, {len(spans)} events "
        f"of that camera, {twice} overlap; failures: {failures}"
    )
    for camera in watch.cameras[1:]:
        counts = camera.statistics
        expected = int((counts.seconds - 1.0) / 0.25)
        print(
            f"{camera.name}: {counts.reading.connections} connection, {counts.windows} of {expected} windows, "
            f"{counts.reading.losses} losses, {counts.events} events"
        )


def latency(arguments: argparse.Namespace) -> None:
    """Events of cameras whose label changes every two windows."""
    model, sink, ended = TurningNetwork(), Collected(), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        model.to_onnx(Path(folder))
        size, rate = SIZES[arguments.size]
        path = write_camera(Path(folder) / "cam.mp4", size, rate, int(arguments.seconds) + 30, arguments.clip)
        with rtsp(path) as url:
            sources = [f"c{i}={url}" for i in range(arguments.cameras)]
            watch = Watch.of(sources, model, WatchSettings(threshold=0.0))

            def end() -> None:
                time.sleep(arguments.seconds)
                ended.append(time.monotonic())
                watch.stop.set()

            threading.Thread(target=end, daemon=True).start()
            began = time.process_time()
            watch.run([sink], lambda text: None)
            stopped, used = time.monotonic() - ended[0], time.process_time() - began
    # What is given out at the end is as late as it was not ended.
    late = sorted(event.latency for event in sink.events if event.end < arguments.seconds - 3 * WINDOW)
    dropped = sum(camera.statistics.dropped for camera in watch.cameras)
    print(
        f"{arguments.size}, {arguments.cameras} cameras for {arguments.seconds:g} s, {100 * used / arguments.seconds:.0f} % "
        f"of a core: {len(late)} events, latency median {late[len(late) // 2]:.2f} s, largest {late[-1]:.2f} s (a window "
        f"is {WINDOW:g} s), {dropped} windows dropped; ended {stopped:.2f} s after it was told to"
    )


def day(arguments: argparse.Namespace) -> None:
    """Memory while pictures go through as fast as they can."""
    model = RandomNetwork()
    with tempfile.TemporaryDirectory() as folder:
        path = write_camera(Path(folder) / "cam.mp4", "96x64", "100k", 60, None)
        with av.open(str(path)) as container:
            video = container.streams.video[0]
            extradata = bytes(video.codec_context.extradata or b"")
            packets = [bytes(packet) for packet in container.demux(video) if packet.size]
    stream = MotionStream("h264", extradata)
    # Windows are dropped as when a camera is late, but for one in fifty: the networks hold no state.
    numbers = iter(range(10**9))
    scorer = WindowScorer(
        model, FrameGeometry(96, 64), window=WINDOW, admit=lambda *_: next(numbers) % 50 == 0
    )
    joiner = EventJoiner(model.labels, Calibration(), window=WINDOW, stride=WINDOW / 4, threshold=0.0)
    total, resident = arguments.pictures, []
    for number in range(total):
        for frame in stream.push(packets[number % len(packets)], number / 30):
            for score in scorer.push(frame):
                joiner.add(score)
        if number % (total // 10) == total // 10 - 1:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            resident.append(pages * resource.getpagesize() / 2**20)
    print(
        f"{total} pictures ({total / 30 / 3600:.1f} h at 30 per second), {time.process_time():.0f} s of CPU; resident MB "
        f"after each tenth: {', '.join(f'{value:.1f}' for value in resident)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["kills", "day", "latency"])
    parser.add_argument("--clip", type=Path, help="a video to repeat in place of the test picture")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--cameras", type=int, default=10)
    parser.add_argument("--size", choices=list(SIZES), default="1080p30")
    parser.add_argument("--seconds", type=float, default=60.0, help="of `latency`")
    parser.add_argument("--pictures", type=int, default=30 * 86_400)
    arguments = parser.parse_args()
    {"kills": kills, "day": day, "latency": latency}[arguments.what](arguments)


if __name__ == "__main__":
    sys.exit(main())
