"""CPU time of reading HEVC motion compared with decoding the stream in full, and with re-encoding it to H.264.

    python benchmarks/read_hevc.py [FILE...] [--repeat 3] [--reencode]

Without files a moving texture of 1280x720 is encoded with x265 (preset fast, CRF 28 and CRF 18). The peer is
PyAV decoding every picture with one thread. `--reencode` also times what a prediction needed before HEVC was
parsed: a copy in H.264 (default recipe), whose motion is then read.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
import imageio_ffmpeg

import mv_tools
from moclip_lite.cli.console import print_table

QUALITIES = (28, 18)


class Times(NamedTuple):
    wall: float
    cpu: float


def measure(works: dict[str, Callable[[], object]], repeat: int) -> dict[str, Times]:
    """Least times over rounds, child processes included; each round runs all works."""
    least = dict.fromkeys(works, Times(float("inf"), float("inf")))
    for _ in range(repeat):
        for name, work in works.items():
            before, start = os.times(), time.perf_counter()
            work()
            wall, after = time.perf_counter() - start, os.times()
            cpu = sum(after[:4]) - sum(before[:4])
            least[name] = Times(min(least[name].wall, wall), min(least[name].cpu, cpu))
    return least


def read_motion(path: Path, threads: int) -> int:
    decoder = mv_tools.MotionDecoder(path, "native", threads=threads)
    return sum(frame.mv.shape[1] > 0 for frame in decoder)


def decode(path: Path) -> int:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream))


def reencode(path: Path) -> int:
    with tempfile.TemporaryDirectory() as folder:
        return read_motion(mv_tools.transcode(path, Path(folder) / "copy.mp4"), 1)


def encoded(folder: Path, crf: int) -> Path:
    path = folder / f"crf{crf}.mp4"
    source = "mandelbrot=size=1280x720:rate=30:start_scale=1:end_scale=0.05"
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        source,
        "-frames:v",
        "300",
    ]
    command += ["-c:v", "libx265", "-preset", "fast", "-crf", str(crf), "-x265-params", "log-level=none"]
    subprocess.run([*command, "-pix_fmt", "yuv420p", str(path)], check=True)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--reencode", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = options.files or [encoded(Path(folder), crf) for crf in QUALITIES]
        rows = []
        for path in files:
            works: dict[str, Callable[[], object]] = {
                "one": lambda path=path: read_motion(path, 1),
                "two": lambda path=path: read_motion(path, 2),
                "decode": lambda path=path: decode(path),
            }
            if options.reencode:
                works["reencode"] = lambda path=path: reencode(path)
            times = measure(works, options.repeat)
            row = [path.name, f"{times['one'].cpu:.2f} s", f"{times['decode'].cpu:.2f} s"]
            row += [
                f"{times['one'].cpu / times['decode'].cpu:.2f}",
                f"{times['one'].wall / times['two'].wall:.2f}x",
            ]
            if options.reencode:
                row.append(f"{times['reencode'].wall / times['one'].wall:.0f}x")
            rows.append(row)
    columns = ["file", "motion, CPU", "full decode, CPU", "ratio", "two threads against one"]
    print_table("HEVC", columns + (["faster than re-encoding"] if options.reencode else []), rows)


if __name__ == "__main__":
    main()
