"""A million clips in shards: packed, listed, and heads trained on them, with memory and speed.

    python benchmarks/shards.py [--clips 1000000] [--folder DIR]

Features of a motion network (256 numbers) and of an image encoder (512) are generated. Each step is a process of its own,
whose peak memory is printed; the last line compares an epoch streamed from the shards with one of features in memory, in
CPU time (all threads), each on the same head and batch, taken in turns.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from moclip_lite.datasets import Clip, VideoDataset
from moclip_lite.experiment.config import load_experiment
from moclip_lite.experiment.fold.features import FoldFeatures
from moclip_lite.experiment.inputs.feature_file import FeatureFile
from moclip_lite.experiment.inputs.feature_shards import pack_features
from moclip_lite.experiment.session import Session
from moclip_lite.fusion import create_head
from moclip_lite.fusion.features import HeadFeed
from moclip_lite.fusion.streamed import StreamedTable
from moclip_lite.fusion.tables import FeatureTable
from moclip_lite.shards.index import Column
from moclip_lite.training.classification import fit
from moclip_lite.training.settings import TrainSettings

CLASSES, MOTION, APPEARANCE, BATCH, IN_MEMORY = 400, 256, 512, 256, 50_000
COLUMNS = {"motion": Column((1, MOTION)), "appearance": Column((1, APPEARANCE))}


def pack(folder: Path, clips: int) -> None:
    """Write generated features; the first numbers tell the class."""
    labels = tuple(f"class {i:03d}" for i in range(CLASSES))
    rows = tuple(Clip(folder, f"{i:07d}.mp4", labels[i % CLASSES], f"g{i // CLASSES}") for i in range(clips))
    test = frozenset(c.name for i, c in enumerate(rows) if i // CLASSES % 20 == 0)
    splits = {"split1": (frozenset(c.name for c in rows) - test, test)}
    centres = {n: np.random.default_rng(1).normal(size=(CLASSES, *c.shape)) for n, c in COLUMNS.items()}

    def read(name: str, start: int, stop: int) -> np.ndarray:
        noise = np.random.default_rng([start, len(name)]).normal(0, 2, (stop - start, *COLUMNS[name].shape))
        return (centres[name][np.arange(start, stop) % CLASSES] + noise).astype(np.float16)

    file = FeatureFile(VideoDataset(folder, rows, labels, splits), None, None, None, "")
    pack_features(folder, file, COLUMNS, read, content=f"{clips:032x}")


def compare(shards: Path, folder: Path) -> None:
    """Print the ratio of the speeds of an epoch."""
    places = (f"data.root={shards}", f"cache.dir={folder / 'cache'}", "data.kind=shards")
    session = Session(load_experiment(None, [*places, "data.protocol=official", "data.val_fraction=0.05"]))
    fold = session.folds[0]
    features = FoldFeatures(session, fold, session.extraction)
    tables = features.head_tables({"train": fold.train, "val": fold.val}, {})
    train, val = tables["train"], tables["val"]
    assert isinstance(train, StreamedTable)
    few = train.take(np.arange(min(IN_MEMORY, len(train.labels) // 2)))
    spent = {"memory": 0.0, "streamed": 0.0}
    for name, table in (("memory", few), ("streamed", train), ("memory", few)):
        spent[name] += seconds_per_clip(table, val) / (2 if name == "memory" else 1)
    rates = {name: 1 / seconds for name, seconds in spent.items()}
    print(
        f"one epoch of {len(train.labels):,} clips, streamed: {rates['streamed']:,.0f} clips per CPU second"
    )
    print(f"in memory ({len(few.labels):,} clips): {rates['memory']:,.0f} clips per CPU second")
    print(f"ratio: {100 * rates['streamed'] / rates['memory']:.0f} % of the in-memory speed")


def seconds_per_clip(table: FeatureTable | StreamedTable, val: FeatureTable | StreamedTable) -> float:
    """CPU seconds of an epoch, for each clip; validation is left out."""
    head = create_head("concat_mlp", MOTION, APPEARANCE, CLASSES)
    feed = HeadFeed(head, table, val, BATCH, 0)
    settings = TrainSettings(epochs=1, batch=BATCH, lr=1e-3)
    started = time.process_time()
    fit(head, feed, settings, seed=0, device=torch.device("cpu"), validates=False)
    return (time.process_time() - started) / len(table.labels)


def step(title: str, words: list[str]) -> None:
    """Run a process and print its time and peak memory."""
    started = time.perf_counter()
    code = "import resource, runpy, sys; sys.argv = sys.argv[1:]\ntry: runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)\n"
    code += "except SystemExit as end: assert not end.code, end.code\n"
    code += "finally: print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", code, *words], text=True, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{title}: {done.stderr[-2000:]}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = int(done.stdout.rsplit("peak", 1)[1]) / 1e6
    print(
        f"{title}: {time.perf_counter() - started:.0f} s, peak memory {peak:.2f} GB "
        f"(CPU seconds of all steps so far: {used.ru_utime + used.ru_stime:.0f})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="kept if given, else a temporary folder")
    parser.add_argument("--step", choices=["pack", "compare"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        shards = folder / "shards"
        if arguments.step == "pack":
            pack(shards, arguments.clips)
            return
        if arguments.step == "compare":
            compare(shards, folder)
            print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
            return
        same = ["--clips", str(arguments.clips), "--folder", str(folder)]
        again = [sys.executable, __file__, *same]
        subprocess.run([*again, "--step", "pack"], check=True)
        index = json.loads((shards / "index.json").read_text())
        size = sum(row["size"] for row in index["shards"])
        print(
            f"packed {arguments.clips:,} clips into {len(index['shards'])} files, {size / 1e9:.2f} GB",
            flush=True,
        )
        step("moclip dataset list", ["moclip_lite", "dataset", "list", str(shards), "--json"])
        run = [
            "moclip_lite",
            "run",
            str(shards),
            "--run-dir",
            str(folder / "run"),
            "--cache",
            str(folder / "cache"),
        ]
        for value in (
            "fusion.head=concat_mlp",
            "run.streams=[fusion]",
            "train_head.epochs=1",
            f"train_head.batch={BATCH}",
            "data.protocol=official",
            "data.val_fraction=0.05",
        ):
            run += ["--set", value]
        step("moclip run, one epoch of each head", [*run, "--quiet"])
        subprocess.run([*again, "--step", "compare"], check=True)


if __name__ == "__main__":
    main()
