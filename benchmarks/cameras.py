"""How many live cameras a core carries.

    python benchmarks/cameras.py steps               CPU of parsing, pooling and the network, and of full decoding, alone
    python benchmarks/cameras.py carry               CPU of watching, of full decoding, per camera, over loopback RTSP
    python benchmarks/cameras.py carry --search      and the number of cameras at which none falls behind

`carry` needs GStreamer's RTSP server (see docs/live-cameras.md). The model is the default motion network with random
weights on windows of 7 s (the clips of UCF101 last 7.2 s on average), a quarter of that apart (test.crops=1,
test.flips=1). Full decoding takes the same windows: every picture is decoded by PyAV on one thread, and 8 pictures of a
window are scaled to 224 x 224 RGB; no network looks at them. A window takes 80 pictures, however long it is: shorter ones
cost more.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
from camera_setup import SIZES, Collected, RandomNetwork, rtsp, write_camera

from moclip_lite.motion.read import FieldReader
from moclip_lite.timeline.geometry import FrameGeometry
from moclip_lite.timeline.scorer import WindowScorer
from moclip_lite.watch.run import Watch
from moclip_lite.watch.settings import WatchSettings
from mv_tools import MotionStream

DECODED = 8  # pictures of a window


def decoded(container: Any, window: float) -> Iterator[None]:
    """Decode all pictures on one thread and scale those that an image encoder would see."""
    video = container.streams.video[0]
    video.thread_count = 1
    number = 0
    for packet in container.demux(video):
        frames = []
        # A stream that was joined begins with pictures before its first keyframe.
        with suppress(av.error.InvalidDataError):
            frames = packet.decode()
        for frame in frames:
            if number % int(30 * window / DECODED) == 0:
                frame.reformat(224, 224, "rgb24").to_ndarray()
            number += 1
            yield


def watch_cameras(
    url: str, count: int, seconds: float, model: RandomNetwork, window: float
) -> tuple[float, float, int]:
    """CPU seconds per second and camera, the largest lag, dropped windows."""
    sink, settings = Collected(), WatchSettings(threshold=0.0, window=window)
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


def decode_cameras(url: str, count: int, seconds: float, window: float) -> float:
    """CPU seconds per second and camera of decoding every picture, in a thread each."""
    stop = threading.Event()

    def decode() -> None:
        with av.open(url, options={"rtsp_transport": "tcp"}, timeout=5.0) as container:
            for _ in decoded(container, window):
                if stop.is_set():
                    return

    threads = [threading.Thread(target=decode, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    time.sleep(3.0)
    started = time.process_time()
    time.sleep(seconds)
    used = time.process_time() - started
    stop.set()
    for thread in threads:
        thread.join(2.0)
    return used / seconds / count


def alone(path: Path, model: RandomNetwork, window: float, rounds: int) -> dict[str, float]:
    """CPU milliseconds per picture of each step, of watching and of full decoding: medians of rounds in turn, on one
    thread without a network."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        extradata, size = bytes(video.codec_context.extradata or b""), (video.width, video.height)
        packets = [
            (bytes(packet), float(packet.pts * packet.time_base))
            for packet in container.demux(video)
            if packet.size
        ]
    geometry = FrameGeometry(*size)
    taken: set[int] = set()  # pictures that windows parsed

    def demux() -> None:
        with av.open(str(path)) as container:
            for packet in container.demux(container.streams.video[0]):
                bytes(packet)

    def push(take: Callable[[Any], object]) -> None:
        stream = MotionStream("h264", extradata, deferred=True)
        for packet, seconds in packets:
            for frame in stream.push(packet, seconds):
                take(frame)

    def parse_taken(frame: Any) -> None:
        if frame.index in taken:
            frame.parse()

    def watch() -> None:
        scorer = WindowScorer(model, geometry, window=window, share=True)
        reader = scorer._buffers.motion._reader
        assert reader is not None
        read = reader.read
        reader.read = lambda frame: (taken.add(frame.index), read(frame))[1]  # type: ignore[method-assign]
        push(scorer.push)

    def pool() -> None:
        reader = FieldReader(model.experiment.motion, geometry)
        push(lambda frame: reader.read(frame) if frame.index in taken else None)

    def full() -> None:
        with av.open(str(path)) as container:
            deque(decoded(container, window), maxlen=0)

    watch()  # the first calls of the networks take longer
    steps = {"demux": demux, "headers": lambda: push(id), "slices": lambda: push(parse_taken), "pool": pool}
    used: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, step in {**steps, "watch": watch, "full": full}.items():
            began = time.process_time()
            step()
            used.setdefault(name, []).append(1e3 * (time.process_time() - began) / len(packets))
    medians = {name: statistics.median(values) for name, values in used.items()}
    return {**medians, "share": len(taken) / len(packets)}


def recordings(arguments: argparse.Namespace) -> Iterator[tuple[str, Path, RandomNetwork]]:
    """(description, recording, model) of each size."""
    model = RandomNetwork()
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.torch:
            model.to_onnx(Path(folder))
        for name, (size, rate) in SIZES.items():
            path = Path(folder) / f"{name}.mp4"
            yield (
                f"{name} {rate}bit/s",
                write_camera(path, size, rate, arguments.file_seconds, arguments.clip),
                model,
            )


def steps(arguments: argparse.Namespace) -> None:
    """Where the time of a camera goes, and the most that its ratio to full decoding can be."""
    for name, path, model in recordings(arguments):
        for window in arguments.windows:
            ms = alone(path, model, window, arguments.rounds)
            used, least = ms["watch"] + ms["demux"], ms["slices"] + ms["demux"]
            parts = {
                "demuxing": ms["demux"],
                "headers": ms["headers"],
                "slices of pictures that windows take": ms["slices"] - ms["headers"],
                "pooling": ms["pool"] - ms["slices"],
                "windows and network": ms["watch"] - ms["pool"],
            }
            print(
                f"{name}, windows of {window:g} s take {100 * ms['share']:.0f} % of the pictures; ms of CPU a picture: "
                f"{', '.join(f'{k} {v:.3f}' for k, v in parts.items())}, together {used:.3f} "
                f"({1000 / 30 / used:.0f} cameras a core); full decoding {ms['full']:.3f} "
                f"({1000 / 30 / ms['full']:.0f}), ratio {ms['full'] / used:.1f}; "
                f"without pooling and network it would be {ms['full'] / least:.1f}"
            )


def carry(arguments: argparse.Namespace) -> None:
    """CPU per camera, and the number of cameras that are carried."""
    for name, path, model in recordings(arguments):
        count = arguments.cameras
        with rtsp(path) as url:
            used, lag, dropped = watch_cameras(url, count, arguments.seconds, model, arguments.windows[0])
        with rtsp(path) as url:
            full = decode_cameras(url, count, arguments.seconds, arguments.windows[0])
        print(
            f"{name}, {count} cameras, windows of {arguments.windows[0]:g} s: watch {100 * used:.2f} % of a core per camera ({1 / used:.0f} per core), "
            f"full decoding {100 * full:.2f} % ({1 / full:.0f} per core), ratio {full / used:.1f}; "
            f"lag {lag:.2f} s, {dropped} windows dropped"
        )
        if arguments.search:
            carried = search(path, model, arguments)
            print(f"  none falls behind with {carried} cameras on {len(os.sched_getaffinity(0))} cores")


def search(path: Path, model: RandomNetwork, arguments: argparse.Namespace) -> int:
    """The most cameras, by steps, of which none falls behind."""
    carried = 0
    while True:
        count = carried + arguments.step
        with rtsp(path) as url:
            _, lag, dropped = watch_cameras(url, count, arguments.seconds, model, arguments.windows[0])
        print(f"  {count} cameras: lag {lag:.2f} s, {dropped} windows dropped")
        if dropped or lag > 0.5:
            return carried
        carried = count


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["steps", "carry"])
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=15.0, help="measured, after three that are not")
    parser.add_argument("--file-seconds", type=int, default=30)
    parser.add_argument(
        "--windows",
        type=float,
        nargs="+",
        default=[7.0, 4.0, 10.0],
        help="seconds; `carry` takes the first one",
    )
    parser.add_argument("--rounds", type=int, default=5, help="of `steps`")
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--torch", action="store_true", help="run the network by PyTorch, not ONNX Runtime")
    parser.add_argument("--step", type=int, default=5)
    parser.add_argument("--clip", type=Path, help="a video to repeat in place of the test picture")
    arguments = parser.parse_args()
    {"steps": steps, "carry": carry}[arguments.what](arguments)


if __name__ == "__main__":
    sys.exit(main())
