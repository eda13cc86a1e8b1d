"""How many live cameras a core carries, and what broken connections and a day of pictures do.

    python benchmarks/cameras.py steps               CPU of parsing, pooling and the network, and of full decoding, alone
    python benchmarks/cameras.py carry               CPU of watching, of full decoding, per camera, over loopback RTSP
    python benchmarks/cameras.py carry --search      and the number of cameras at which none falls behind
    python benchmarks/cameras.py kills               200 broken connections of one camera beside three others
    python benchmarks/cameras.py day                 memory over a day's worth of pictures

`carry` and `kills` need GStreamer's RTSP server (see docs/live-cameras.md). The model is the default motion network
with random weights on windows of 4 s, one a second (test.crops=1, test.flips=1). Full decoding takes the same windows: every picture is decoded
by PyAV on one thread, and 8 pictures of a window are scaled to 224 x 224 RGB.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import torch

from moclip_lite.engine.runtime import open_session, softmax
from moclip_lite.experiment.config import load_experiment
from moclip_lite.export.classifier import SegmentEncoder, SegmentMixer
from moclip_lite.export.network import export_network
from moclip_lite.motion.network import build_motion_net
from moclip_lite.motion.read import FieldReader
from moclip_lite.motion.scores import batch_motion_scores, scores_of_segments, segment_features
from moclip_lite.results.calibration import Calibration
from moclip_lite.timeline.scorer import FrameGeometry, WindowScorer
from moclip_lite.watch.events import Event, EventJoiner
from moclip_lite.watch.run import Watch
from moclip_lite.watch.settings import WatchSettings
from mv_tools import MotionStream
from mv_tools.live import reader

SIZES = {"1080p30": ("1920x1080", "4M"), "720p30": ("1280x720", "1M")}
SERVER = Path(__file__).parents[1] / "tests" / "support" / "rtsp_server.py"
WINDOW, DECODED = 4.0, 8


class RandomNetwork:
    """The motion network of the defaults, with random weights."""

    labels = tuple(f"class {i}" for i in range(20))
    motion = "present"
    calibration = Calibration(window=WINDOW)

    def __init__(self) -> None:
        self.heads: dict[Any, Any] = {}
        self.sessions: list[Any] = []
        self.experiment = load_experiment(None, ["test.crops=1", "test.flips=1"])
        torch.manual_seed(0)
        torch.set_num_threads(1)
        self.network = build_motion_net(self.experiment.motion, len(self.labels)).eval()

    def motion_features(self, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tokens, scores = batch_motion_scores(
            self.network, motion[None], self.experiment.test, torch.device("cpu")
        )
        return tokens[0], scores[0]

    encodes_segments = True

    def segment_features(self, motion: np.ndarray) -> np.ndarray:
        if self.sessions:
            (features,) = self.sessions[0].run(["features"], {"segments": motion.astype(np.float32)})
            return np.asarray(features)
        return segment_features(self.network, motion, self.experiment.test, torch.device("cpu"))

    def window_features(self, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.sessions:
            scores, tokens = self.sessions[1].run(["scores", "tokens"], {"features": segments[None]})
            return tokens[0], softmax(scores[0])
        return scores_of_segments(self.network, segments, torch.device("cpu"))

    def to_onnx(self, folder: Path) -> None:
        """Run the network by ONNX Runtime on one thread, as `moclip watch` does with a run's ONNX files."""
        segments, *rest = self.experiment.motion.shape
        examples = [torch.randn(2, *rest), torch.randn(2, segments, 1, self.network.feature_dim)]
        parts = [SegmentEncoder(self.network, self.experiment.test), SegmentMixer(self.network)]
        names = [(["segments"], ["features"]), (["features"], ["scores", "tokens"])]
        for part, example, (inputs, outputs) in zip(parts, examples, names, strict=True):
            path = folder / f"{inputs[0]}-{outputs[0]}.onnx"
            export_network(part.eval(), [example], path, inputs=inputs, outputs=outputs)
            self.sessions.append(open_session(path, 1))


def write_camera(path: Path, size: str, rate: str, seconds: int, clip: Path | None) -> Path:
    """A camera's recording: a clip repeated, or a moving test picture with noise; keyframes every two seconds."""
    moving = f"testsrc2=size={size}:rate=30,noise=alls=8:allf=t"
    source = ["-f", "lavfi", "-i", moving] if clip is None else ["-stream_loop", "-1", "-i", str(clip)]
    scale = ["-vf", f"scale={size.replace('x', ':')}"]
    coding = [
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-bf",
        "0",
        "-g",
        "60",
        "-b:v",
        rate,
        "-maxrate",
        rate,
    ]
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-y",
        *source,
        "-t",
        str(seconds),
        *scale,
        "-r",
        "30",
    ]
    subprocess.run([*command, *coding, "-bufsize", rate, "-pix_fmt", "yuv420p", "-an", str(path)], check=True)
    return path


@contextmanager
def rtsp(path: Path) -> Iterator[str]:
    """Serve a file at rtsp://127.0.0.1:PORT/cam."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        ["/usr/bin/python3", str(SERVER), str(port), f"/cam={path}"], stdout=subprocess.PIPE
    )
    try:
        assert server.stdout is not None
        if server.stdout.readline() != b"ready\n":
            raise SystemExit("GStreamer's RTSP server is not installed, see docs/live-cameras.md")
        yield f"rtsp://127.0.0.1:{port}/cam"
    finally:
        server.kill()
        server.communicate()


class Collected:
    """A sink."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def put(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        """Nothing to do."""


def watch_cameras(url: str, count: int, seconds: float, model: RandomNetwork) -> tuple[float, float, int]:
    """CPU seconds per second and camera, the largest lag, dropped windows."""
    sink, settings = Collected(), WatchSettings(threshold=0.0)
    watch = Watch.of([f"c{i}={url}" for i in range(count)], model, settings)
    marks: list[float] = []
    threading.Timer(3.0, lambda: marks.append(time.process_time())).start()
    lags: list[float] = []

    def end() -> None:
        marks.append(time.process_time())
        lags.extend(camera.statistics.lag for camera in watch.cameras)
        watch.stop.set()

    threading.Timer(3.0 + seconds, end).start()
    watch.run([sink], lambda text: None)
    dropped = sum(camera.statistics.dropped for camera in watch.cameras)
    return (marks[1] - marks[0]) / seconds / count, max(lags), dropped


def decode_cameras(url: str, count: int, seconds: float) -> float:
    """CPU seconds per second and camera of decoding every picture, in a thread each."""
    stop = threading.Event()

    def decode() -> None:
        with av.open(url, options={"rtsp_transport": "tcp"}, timeout=5.0) as container:
            video = container.streams.video[0]
            video.thread_count = 1
            for number, frame in enumerate(container.decode(video)):
                if number % int(30 * WINDOW / DECODED) == 0:
                    frame.reformat(224, 224, "rgb24").to_ndarray()
                if stop.is_set():
                    return

    threads = [threading.Thread(target=decode, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    time.sleep(3.0)
    started = time.process_time()
    time.sleep(seconds)
    used = time.process_time() - started
    stop.set()
    for thread in threads:
        thread.join(2.0)
    return used / seconds / count


def alone(path: Path, model: RandomNetwork) -> tuple[dict[str, float], float, float]:
    """CPU milliseconds per picture of each step with all pictures parsed, of watching (pictures that no window uses are
    left out), and of full decoding, on one thread without a network."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        extradata, size = bytes(video.codec_context.extradata or b""), (video.width, video.height)
        packets = [
            (bytes(packet), float(packet.pts * packet.time_base))
            for packet in container.demux(video)
            if packet.size
        ]

    def measure(take: Callable[[Any], object], deferred: bool = False) -> float:
        stream, began = MotionStream("h264", extradata, deferred=deferred), time.process_time()
        for packet, seconds in packets:
            for frame in stream.push(packet, seconds):
                take(frame)
        return 1e3 * (time.process_time() - began) / len(packets)

    geometry = FrameGeometry(*size)
    reader = FieldReader(model.experiment.motion, geometry)
    scorers = [WindowScorer(model, geometry, window=WINDOW, share=True) for _ in range(3)]
    measure(scorers[0].push)  # the first calls of the networks take longer
    parse, pool, score = measure(lambda _: None), measure(reader.read), measure(scorers[1].push)
    used = measure(scorers[2].push, deferred=True)
    began = time.process_time()
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        video.thread_count = 1
        for number, frame in enumerate(container.decode(video)):
            if number % int(30 * WINDOW / DECODED) == 0:
                frame.reformat(224, 224, "rgb24").to_ndarray()
    full = 1e3 * (time.process_time() - began) / len(packets)
    return {"parsing": parse, "pooling": pool - parse, "windows and network": score - pool}, used, full


def steps(arguments: argparse.Namespace) -> None:
    """Where the time of a camera goes."""
    model = RandomNetwork()
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.torch:
            model.to_onnx(Path(folder))
        for name, (size, rate) in SIZES.items():
            path = write_camera(
                Path(folder) / f"{name}.mp4", size, rate, arguments.file_seconds, arguments.clip
            )
            parts, used, full = alone(path, model)
            total = sum(parts.values())
            print(
                f"{name} {rate}bit/s, ms of CPU a picture: {', '.join(f'{k} {v:.3f}' for k, v in parts.items())}, "
                f"together {total:.3f} ({1000 / 30 / total:.0f} cameras a core); with the pictures that windows use "
                f"{used:.3f} ({1000 / 30 / used:.0f}); full decoding {full:.3f} ({1000 / 30 / full:.0f}), "
                f"ratio {full / used:.1f}"
            )


def carry(arguments: argparse.Namespace) -> None:
    """CPU per camera, and the number of cameras that are carried."""
    model = RandomNetwork()
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.torch:
            model.to_onnx(Path(folder))
        for name, (size, rate) in SIZES.items():
            path = write_camera(
                Path(folder) / f"{name}.mp4", size, rate, arguments.file_seconds, arguments.clip
            )
            with rtsp(path) as url:
                count = arguments.cameras
                used, lag, dropped = watch_cameras(url, count, arguments.seconds, model)
            with rtsp(path) as url:
                full = decode_cameras(url, count, arguments.seconds)
            print(
                f"{name} {rate}bit/s, {count} cameras: watch {100 * used:.2f} % of a core per camera "
                f"({1 / used:.0f} per core), full decoding {100 * full:.2f} % ({1 / full:.0f} per core), "
                f"ratio {full / used:.1f}; lag {lag:.2f} s, {dropped} windows dropped"
            )
            carried = 0
            while arguments.search:
                count = carried + arguments.step
                with rtsp(path) as url:
                    _, lag, dropped = watch_cameras(url, count, arguments.seconds, model)
                print(f"  {count} cameras: lag {lag:.2f} s, {dropped} windows dropped")
                if dropped or lag > 0.5:
                    break
                carried = count
            if arguments.search:
                print(f"  none falls behind with {carried} cameras on {len(os.sched_getaffinity(0))} cores")


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
    parser.add_argument("what", choices=["steps", "carry", "kills", "day"])
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=15.0, help="measured, after three that are not")
    parser.add_argument("--file-seconds", type=int, default=30)
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--torch", action="store_true", help="run the network by PyTorch, not ONNX Runtime")
    parser.add_argument("--step", type=int, default=5)
    parser.add_argument("--clip", type=Path, help="a video to repeat in place of the test picture")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--pictures", type=int, default=30 * 86_400)
    arguments = parser.parse_args()
    {"steps": steps, "carry": carry, "kills": kills, "day": day}[arguments.what](arguments)


if __name__ == "__main__":
    sys.exit(main())
