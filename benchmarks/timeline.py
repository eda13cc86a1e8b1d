"""Timeline of an hour of video: times real time, and memory against a minute.

    python benchmarks/timeline.py --source FILE [--minutes 60] [--window 10] [--views 1]

FILE is repeated by stream copy. Networks have random weights, which takes as long as others: the default motion
network, and for the second row MobileCLIP-S1 on the default 4 frames a window with the default heads. Each figure
comes from a new process. `of 2 cores` is the length of the video by half of the CPU time: what two cores without
other load would reach at best.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av

CLASSES = 101
ENCODER = "MobileCLIP-S1"


def repeat(source: Path, target: Path, seconds: float) -> None:
    """Write a video again and again by stream copy until it is so long."""
    with av.open(str(target), "w") as out:
        stream: Any = None
        written = 0.0
        while written < seconds:
            with av.open(str(source)) as container:
                video = container.streams.video[0]
                stream = stream or out.add_stream_from_template(video)
                assert video.time_base is not None
                step = float(1 / (video.average_rate or 25))
                last = written
                for packet in container.demux(video):
                    if packet.dts is None or packet.pts is None:
                        continue
                    shift = round(written / float(video.time_base))
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    last = max(last, packet.pts * float(video.time_base) + step)
                    out.mux(packet)
                written = last


class RandomModel:
    """A classifier of random weights, without a run folder."""

    def __init__(self, appearance: bool, views: int, positions: str) -> None:
        import torch

        from moclip_lite.appearance.create import make_encoder
        from moclip_lite.experiment.config import load_experiment
        from moclip_lite.fusion import build_head
        from moclip_lite.motion.network import build_motion_net
        from moclip_lite.streams import Stream

        crops, flips = {1: (1, 1), 3: (3, 1), 6: (3, 2)}[views]
        settings = [
            f"test.crops={crops}",
            f"test.flips={flips}",
            f"clip.model={ENCODER}",
            "clip.pretrained=none",
        ]
        settings.append(f"clip.positions={positions}")
        self.experiment = load_experiment(None, settings)
        self.labels = tuple(f"class {i}" for i in range(CLASSES))
        self.device = torch.device("cpu")
        self.network = build_motion_net(self.experiment.motion, CLASSES).eval()
        self.heads: dict[Stream, Any] = {}
        if appearance:
            self.encoder = make_encoder(self.experiment.clip, 0, self.device)
            for stream in (Stream.APPEARANCE, Stream.FUSION):
                dims = self.network.feature_dim, self.encoder.dim
                name = self.experiment.head_of(stream)
                self.heads[stream] = build_head(self.experiment.fusion, name, *dims, CLASSES).eval()

    @property
    def motion(self) -> Any:
        return self

    def motion_features(self, motion: Any) -> Any:
        from moclip_lite.motion.scores import batch_motion_scores

        tokens, scores = batch_motion_scores(self.network, motion[None], self.experiment.test, self.device)
        return tokens[0], scores[0]

    def appearance_features(self, pictures: Any) -> Any:
        from moclip_lite.appearance.zero_shot import unit

        return unit(self.encoder.encode_images(pictures))

    def head_scores(self, stream: Any, tokens: Any, appearance: Any) -> Any:
        import torch

        from moclip_lite.fusion.features import head_scores
        from moclip_lite.fusion.tables import FeatureTable

        labels = torch.zeros(1, dtype=torch.int64)
        table = FeatureTable(torch.from_numpy(tokens[None]), torch.from_numpy(appearance[None]), labels)
        return head_scores(self.heads[stream], table)[0]


def peak_mb() -> float:
    """Peak resident size of this process (Linux); that of ``getrusage`` includes the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(path: Path, appearance: bool, options: argparse.Namespace) -> dict[str, float]:
    """Label a video in this process."""
    from moclip_lite.timeline.options import TimelineOptions
    from moclip_lite.timeline.video import make_timeline

    model = RandomModel(appearance, options.views, options.positions)
    began, cpu = time.perf_counter(), time.process_time()
    timeline = make_timeline(model, path, None, TimelineOptions(window=options.window))
    return {
        "duration": timeline.duration,
        "windows": len(timeline.windows),
        "wall": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "peak": peak_mb(),
    }


def in_new_process(path: Path, appearance: bool, options: argparse.Namespace) -> dict[str, float]:
    words = [__file__, "--measure", str(path), "--window", str(options.window), "--views", str(options.views)]
    words += ["--positions", options.positions]
    if appearance:
        words.append("--appearance")
    done = subprocess.run([sys.executable, *words], check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--window", type=float, default=10)
    parser.add_argument("--views", type=int, default=1, choices=(1, 3, 6), help="of each window's motion")
    parser.add_argument("--positions", default="reachable", help="of frames: reachable, uniform or keyframes")
    parser.add_argument("--only", choices=("motion", "appearance"), help="one of the two rows")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--appearance", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(measure(options.measure, options.appearance, options)))
        return
    if options.source is None:
        parser.error("--source FILE is needed")
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "minute.mp4", Path(folder) / "long.mp4"
        repeat(options.source, short, 59)
        repeat(options.source, long, 60 * options.minutes - 1)
        for name in ("motion", "appearance"):
            if options.only not in (None, name):
                continue
            one, many = (in_new_process(path, name == "appearance", options) for path in (short, long))
            print(
                f"{name}: {many['duration']:.0f} s of video, {many['windows']} windows in {many['wall']:.1f} s, "
                f"CPU {many['cpu']:.1f} s: {many['duration'] / many['wall']:.0f} times real time "
                f"(of 2 cores {2 * many['duration'] / many['cpu']:.0f}); "
                f"peak {many['peak']:.0f} MB, one minute {one['peak']:.0f} MB"
            )


if __name__ == "__main__":
    main()
