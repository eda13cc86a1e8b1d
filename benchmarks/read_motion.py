"""Speed of reading motion compared with other tools: all of a file, and the part that one prediction needs.

    python benchmarks/read_motion.py [FILE...] [--repeat 3] [--frames 150]

Measured are the given files and two made from the first (or from a generated clip): a 320x240 transcode as
in data sets like UCF101 (GOP 12, no B pictures), and a 1920x1080 encode of high bitrate. The other tools are
mv-extractor (with its frame threads on all cores; libav if it is not installed) and PyAV decoding every
frame on all cores. The native parser is timed through the Python API, arrays included; one prediction
with the defaults of an experiment. Figures are the best of the repeats; speed is by wall time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

import mv_tools
from moclip_lite.appearance.settings import AppearanceSettings
from moclip_lite.cli.console import print_table
from moclip_lite.datasets.synthetic.pictures import encode_clip, render_clip
from moclip_lite.motion.settings import MotionSettings
from moclip_lite.predict.read_file import FileReader

PEER = "mv-extractor" if "mvextractor" in mv_tools.available_backends() else "libav, 1 thread"


class Times(NamedTuple):
    wall: float
    cpu: float


def timed(works: dict[str, Callable[[], object]], repeat: int) -> dict[str, Times]:
    """Best times over rounds; each round runs all works, so that a busy machine affects all of them."""
    best = dict.fromkeys(works, Times(float("inf"), float("inf")))
    for _ in range(repeat):
        for name, work in works.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            best[name] = Times(min(best[name].wall, wall), min(best[name].cpu, cpu))
    return best


def all_motion(path: Path, backend: str, threads: int) -> int:
    decoder = mv_tools.MotionDecoder(path, backend, threads=threads)
    return sum(frame.mv.shape[1] > 0 for frame in decoder)


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


def one_prediction(path: Path) -> None:
    """What a prediction reads: sampled motion and the frames that CLIP sees."""
    FileReader(path, MotionSettings(), AppearanceSettings()).both()


def generated(path: Path) -> Path:
    """A 320x240 clip of 250 pictures with film grain, so that it does not shrink to nothing."""
    small, options = render_clip("pebbles", "pan_left", 250, (0,))
    rng = np.random.default_rng(0)
    frames = (
        av.VideoFrame.from_ndarray(each, format="rgb24").reformat(width=320, height=240) for each in small
    )
    grown = np.stack([frame.to_ndarray(format="rgb24") for frame in frames]).astype(np.int16)
    grown += rng.integers(-6, 7, grown.shape, dtype=np.int16)
    encode_clip(path, np.clip(grown, 0, 255).astype(np.uint8), {**options, "bf": "2", "g": "250"})
    return path


def resized(source: Path, target: Path, size: tuple[int, int], frames: int, options: dict[str, str]) -> Path:
    """The first pictures of a file, scaled and encoded again."""

    def pictures() -> Iterator[np.ndarray]:
        with av.open(str(source)) as container:
            for frame in islice(container.decode(video=0), frames):
                yield frame.reformat(width=size[0], height=size[1]).to_ndarray(format="rgb24")

    with av.open(str(target), mode="w") as container:
        stream = container.add_stream("libx264", rate=25, options={"threads": "2", **options})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for picture in pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return target


def derived_files(files: list[Path], folder: Path, frames: int) -> list[Path]:
    base = files[0] if files else generated(folder / "generated.mp4")
    like_ucf = {"g": "12", "bf": "0", "refs": "1", "sc_threshold": "0", "crf": "20"}
    return [
        resized(base, folder / "like_ucf101.mp4", (320, 240), 2 * frames, like_ucf),
        resized(base, folder / "high_bitrate.mp4", (1920, 1080), frames, {"crf": "12"}),
    ]


def measure(path: Path, repeat: int) -> tuple[list[str], list[str]]:
    """One row for each of the two tables."""
    decoder = mv_tools.MotionDecoder(path, "native")
    count, meta = len(decoder), decoder.metadata
    peer = partial(mv_extractor, path) if PEER == "mv-extractor" else partial(all_motion, path, "libav", 1)
    works: dict[str, Callable[[], object]] = {
        "peer": peer,
        "1 thread": partial(all_motion, path, "native", 1),
        "2 threads": partial(all_motion, path, "native", 2),
        "full": partial(decode_all, path),
        "prediction": partial(one_prediction, path),
    }
    times = timed(works, repeat)
    first, full, reading = times["peer"], times["full"], times["prediction"]
    motion = [path.stem, f"{meta.width}x{meta.height}", str(count), f"{count / first.wall:.0f}"]
    for name in ("1 thread", "2 threads"):
        ours = times[name]
        motion += [f"{count / ours.wall:.0f}", f"{first.wall / ours.wall:.2f}", f"{ours.cpu / first.cpu:.2f}"]
    prediction = [
        path.stem,
        f"{full.wall:.3f}",
        f"{full.cpu:.3f}",
        f"{reading.wall:.3f}",
        f"{reading.cpu:.3f}",
    ]
    prediction += [f"{full.wall / reading.wall:.1f}", f"{full.cpu / reading.cpu:.1f}"]
    return motion, prediction


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="H.264 files")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--frames", type=int, default=150, help="pictures of the 1080p encode")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = [*args.files, *derived_files(args.files, Path(folder), args.frames)]
        motion, prediction = zip(*(measure(path, args.repeat) for path in files), strict=True)
    header = ["file", "size", "pictures", "peer 1/s"]
    for threads in (1, 2):
        header += [f"{threads} thr 1/s", "x speed", "of CPU"]
    print_table(f"All motion of a file: the native parser against {PEER}, pictures a second", header, motion)
    header = ["file", "PyAV s", "CPU s", "ours s", "CPU s", "x speed", "x less CPU"]
    print_table("Reading for one prediction against decoding every frame with PyAV", header, prediction)


if __name__ == "__main__":
    main()
