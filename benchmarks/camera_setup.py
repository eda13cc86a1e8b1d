"""What the benchmarks of cameras share: a model with random weights, recordings, a server of them."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import torch

from moclip_lite.engine.runtime import open_session, softmax
from moclip_lite.experiment.config import load_experiment
from moclip_lite.export.modules import SegmentEncoder, SegmentMixer
from moclip_lite.export.network import export_network
from moclip_lite.motion.network import build_motion_net
from moclip_lite.motion.scores import batch_motion_scores, scores_of_segments, segment_features
from moclip_lite.results.calibration import Calibration
from moclip_lite.watch.events import Event

SIZES = {"1080p30": ("1920x1080", "4M"), "720p30": ("1280x720", "1M")}
SERVER = Path(__file__).parents[1] / "tests" / "support" / "rtsp_server.py"
WINDOW = 4.0


class RandomNetwork:
    """The motion network of the defaults, with random weights."""

    labels = tuple(f"class {i}" for i in range(20))
    calibration = Calibration(window=WINDOW)

    def __init__(self) -> None:
        self.heads: dict[Any, Any] = {}
        self.sessions: list[Any] = []
        self.experiment = load_experiment(None, ["test.crops=1", "test.flips=1"])
        torch.manual_seed(0)
        torch.set_num_threads(1)
        self.network = build_motion_net(self.experiment.motion, len(self.labels)).eval()

    @property
    def motion(self) -> RandomNetwork:
        return self

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


class TurningNetwork(RandomNetwork):
    """Answers with another class every two windows by the clock of this machine, whatever it sees: events end often."""

    def window_features(self, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tokens, scores = super().window_features(segments)
        certain = np.full_like(scores, 0.05 / len(scores))
        certain[int(time.monotonic() / (2 * WINDOW)) % len(scores)] = 0.95
        return tokens, certain


def write_camera(path: Path, size: str, rate: str, seconds: int, clip: Path | None) -> Path:
    """A camera's recording: a clip repeated, or a moving test picture with noise; keyframes every two seconds."""
    moving = f"testsrc2=size={size}:rate=30,noise=alls=8:allf=t"
    source = ["-f", "lavfi", "-i", moving] if clip is None else ["-stream_loop", "-1", "-i", str(clip)]
    scale = f"scale={size.replace('x', ':')}"
    coding = [
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-bf",
        "0",
        "-g",
        "60",
        "-r",
        "30",
        "-pix_fmt",
        "yuv420p",
        "-an",
    ]
    bits = ["-b:v", rate, "-maxrate", rate, "-bufsize", rate]
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-y",
        *source,
        "-t",
        str(seconds),
        "-vf",
        scale,
    ]
    subprocess.run([*command, *coding, *bits, str(path)], check=True)
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
        url = f"rtsp://127.0.0.1:{port}/cam"
        # The sender of all clients starts.
        with av.open(url, options={"rtsp_transport": "tcp"}, timeout=30.0):
            yield url
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
