"""Grid of fusion heads on generated features of UCF101's size: time, memory and table.

    python benchmarks/fusion_grid.py [--out FOLDER]

13,320 clips in 101 classes and 25 groups, three splits, 16 motion tokens of 192 and 8 frames of 512
per clip: pairs of classes have equal appearance and different motion, and each group has its own
appearance. Nine heads and a linear probe x 3 seeds on split 1, through ``moclip ablate``. Compared in the
same run with scikit-learn's MLPClassifier of concat_mlp's size on the averaged features, one seed.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.neural_network import MLPClassifier

from moclip_lite.datasets import Clip, VideoDataset
from moclip_lite.experiment.inputs.feature_storage import save_features

CLIPS, CLASSES, GROUPS, SEGMENTS, MOTION, FRAMES, APPEARANCE = 13_320, 101, 25, 16, 192, 8, 512
GRID = Path(__file__).parents[1] / "experiments" / "ablations" / "fusion_variant.yaml"


def dataset() -> VideoDataset:
    """Clips named like UCF101's; each split tests about seven of the groups, 30 % of the clips."""
    labels = tuple(f"class{i:03d}" for i in range(CLASSES))
    clips = []
    for number in range(CLIPS):
        label, index = labels[number % CLASSES], number // CLASSES
        group = f"{label}_g{index % GROUPS + 1:02d}"
        name = f"{label}/v_{group}_c{index // GROUPS + 1:02d}.avi"
        clips.append(Clip(Path(name), name, label, group))
    official = {}
    for split in range(3):
        tested = {g + 1 for g in range(7 * split, 7 * split + 7)}
        test = frozenset(c.name for c in clips if int(str(c.group)[-2:]) in tested)
        official[f"split{split + 1}"] = (frozenset(c.name for c in clips) - test, test)
    return VideoDataset(Path("generated"), tuple(clips), labels, official)


def features(data: VideoDataset, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Motion [N, T, D], appearance [N, F, D] and text [C, D]: class + group + noise."""
    rng = np.random.default_rng(seed)
    label = np.array([data.labels.index(c.label) for c in data.clips])
    group = np.unique([c.group for c in data.clips], return_inverse=True)[1]
    class_appearance = rng.normal(size=(CLASSES // 2 + 1, APPEARANCE))[np.arange(CLASSES) // 2]
    class_appearance += 0.15 * rng.normal(size=(CLASSES, APPEARANCE))
    text = class_appearance + 0.5 * rng.normal(size=class_appearance.shape)
    class_motion = rng.normal(size=(CLASSES, MOTION))
    group_appearance = rng.normal(size=(group.max() + 1, APPEARANCE))
    appearance = 0.15 * class_appearance[label] + 0.6 * group_appearance[group]
    appearance = appearance[:, None] + rng.normal(size=(CLIPS, FRAMES, APPEARANCE))
    group_motion = rng.normal(size=(group.max() + 1, MOTION))
    motion = (0.15 * class_motion[label] + 0.9 * group_motion[group])[:, None] + rng.normal(
        size=(CLIPS, SEGMENTS, MOTION)
    )
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    return motion.astype(np.float32), appearance.astype(np.float32), text.astype(np.float32)


def mlp_classifier(data: VideoDataset, motion: np.ndarray, appearance: np.ndarray) -> None:
    train, _ = data.official["split1"]
    joined = np.concatenate([motion.mean(axis=1), appearance.mean(axis=1)], axis=1)
    label = np.array([data.labels.index(c.label) for c in data.clips])
    training = np.array([c.name in train for c in data.clips])
    started = time.perf_counter()
    model = MLPClassifier(
        (512,), batch_size=64, early_stopping=True, n_iter_no_change=8, max_iter=40, random_state=0
    )
    model.fit(joined[training], label[training])
    top1 = 100 * model.score(joined[~training], label[~training])
    print(
        f"scikit-learn MLPClassifier, one seed: {top1:.1f} % in {time.perf_counter() - started:.0f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, help="folder for the results")
    parser.add_argument("--workers", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        out = args.out or Path(scratch) / "results"
        file = Path(scratch) / "features.safetensors"
        data = dataset()
        motion, appearance, text = features(data)
        save_features(file, data, motion, appearance, text)
        print(f"{CLIPS} clips, {file.stat().st_size / 1e6:.0f} MB of features", flush=True)
        mlp_classifier(data, motion, appearance)
        del motion, appearance
        settings = (
            "data.kind=features",
            "data.protocol=official",
            "data.splits=[1]",
            f"data.root={file}",
            f"cache.dir={Path(scratch) / 'cache'}",
            "run.streams=[appearance,fusion]",
        )
        words = [sys.executable, "-m", "moclip_lite", "ablate", str(GRID), "--out", str(out)]
        words += [part for setting in settings for part in ("--set", setting)] + [
            "--workers",
            str(args.workers),
        ]
        started = time.perf_counter()
        subprocess.run(words, check=True)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"grid: {time.perf_counter() - started:.0f} s wall, {usage.ru_utime + usage.ru_stime:.0f} s CPU, "
            f"largest process {usage.ru_maxrss / 1e6:.2f} GB"
        )


if __name__ == "__main__":
    main()
