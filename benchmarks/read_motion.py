"""Reading all motion of a file: the native parser against mv-extractor and PyAV, in one run.

    python benchmarks/read_motion.py FILE... [--repeat 3]

Without a file a 320x240 clip is generated. Ours are timed through the Python API with arrays made;
the best of the repeats counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av

import mv_tools
from moclip_lite.clips import MotionSpec, read_motion_clip
from moclip_lite.datasets.synthetic import encode_clip, render_clip


def native(path: Path, threads: int) -> int:
    return sum(frame.mv.shape[1] > 0 for frame in mv_tools.MotionDecoder(path, "native", threads=threads))


def libav(path: Path) -> int:
    return sum(frame.mv.shape[1] > 0 for frame in mv_tools.MotionDecoder(path, "libav"))


def mv_extractor(path: Path) -> int:
    from mvextractor.videocap import VideoCap

    reader, count = VideoCap(), 0
    reader.open(str(path))
    reader.set_decode_frames(False)
    while reader.read()[0]:
        count += 1
    return count


def decode_all(path: Path) -> int:
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return sum(1 for _ in container.decode(video=0))


def one_prediction(path: Path) -> int:
    """What a prediction reads: sampled motion and the frames that CLIP sees."""
    from moclip_lite.sampling import frame_positions

    read_motion_clip(path, MotionSpec(), threads=2)
    mv_tools.read_rgb_at(path, frame_positions(mv_tools.count_frames(path), 4).tolist())
    return 1


def timed(work: Callable[[], int], repeat: int) -> tuple[float, float]:
    best = (float("inf"), float("inf"))
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        best = min(best, (time.perf_counter() - wall, time.process_time() - cpu))
    return best


def measure(path: Path, repeat: int) -> None:
    print(f"{path.name}: {mv_tools.count_frames(path)} frames")
    rows: dict[str, Callable[[], int]] = {
        "native, 1 thread": lambda: native(path, 1),
        "native, 2 threads": lambda: native(path, 2),
        "libav": lambda: libav(path),
        "PyAV, decode every frame": lambda: decode_all(path),
        "read for one prediction": lambda: one_prediction(path),
    }
    if "mvextractor" in mv_tools.available_backends():
        rows = {"mv-extractor": lambda: mv_extractor(path), **rows}
    times = {name: timed(work, repeat) for name, work in rows.items()}
    peer = times.get("mv-extractor", times["libav"])
    for name, (wall, cpu) in times.items():
        print(
            f"  {name:26} {wall:6.2f} s wall {cpu:6.2f} s CPU   {peer[0] / wall:5.2f}x the first's speed, {cpu / peer[1]:.2f} of its CPU"
        )
    ratio = times["PyAV, decode every frame"][0] / times["read for one prediction"][0]
    print(f"  reading for one prediction is {ratio:.1f}x faster than decoding every frame with PyAV")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    if args.files:
        for path in args.files:
            measure(path, args.repeat)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generated.mp4"
        encode_clip(path, *render_clip("pebbles", "pan_left", 250, (0,)))
        measure(path, args.repeat)


if __name__ == "__main__":
    main()
