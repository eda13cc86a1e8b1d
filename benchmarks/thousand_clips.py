"""``moclip run`` on generated clips: clips per second, the share of each stage, and a second run.

    python benchmarks/thousand_clips.py [--clips 1000]

20 classes of 24-frame H.264 clips; CLIP is ViT-S-32 with random weights. The second run has nothing
to do; its CPU time is compared with that of listing the same clips and of ``--help``.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from moclip_lite.storage.files import read_json

SETTINGS = (
    "data.kind=synthetic",
    "clip.model=ViT-S-32",
    "clip.pretrained=none",
    "clip.frames=1",
    "motion.segments=4",
    "motion.grid=[12,16]",
    "motion.flip=0",
    "test.flips=1",
    "train_motion.epochs=10",
)


def timed(*words: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "moclip_lite", *words], check=True, capture_output=True)
    return time.perf_counter() - started


def cpu_seconds(*words: str) -> float:
    """CPU seconds of a call of the program."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    timed(*words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        experiment = place / "experiment.yaml"
        experiment.write_text("{}\n")
        settings = (
            *SETTINGS,
            f"data.clips_per_class={args.clips // 20}",
            f"data.root={place / 'clips'}",
            f"cache.dir={place / 'cache'}",
            f"run.dir={place / 'run'}",
        )
        sets = [word for setting in settings for word in ("--set", setting)]
        print(
            f"{args.clips} clips generated in {timed('dataset', 'list', str(experiment), *sets):.0f} s",
            flush=True,
        )
        total = timed("run", str(experiment), *sets)
        seconds = read_json(place / "run" / "metrics.json")["seconds"]
        print(f"first run {total:.1f} s")
        for stage, value in seconds.items():
            rate = f"   {args.clips / value:7.0f} clips/s" if stage.startswith("extract") and value else ""
            print(f"  {stage:24} {value:7.1f} s {100 * value / total:5.1f} %{rate}")
        again = cpu_seconds("run", str(experiment), *sets)
        listing = cpu_seconds("dataset", "list", str(experiment), *sets)
        usage = cpu_seconds("--help")
        print(f"second run {again:.1f} CPU s; listing the clips {listing:.1f}, --help {usage:.1f}")


if __name__ == "__main__":
    main()
