"""Seconds per epoch of fusion training on cached features of UCF101's size.

    python benchmarks/fusion_epoch.py

9,537 clips, 101 classes, motion features of the small network and 8 x 512 appearance features, all generated.
Compared with an epoch of scikit-learn's MLPClassifier in the same run: the same hidden layer and batch, on
the same concatenated features.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier

from moclip_lite.fusion import create_head, list_heads
from moclip_lite.fusion.features import HeadFeed
from moclip_lite.fusion.tables import FeatureTable
from moclip_lite.training.classification import fit
from moclip_lite.training.settings import TrainSettings

CLIPS, CLASSES, SEGMENTS, MOTION, FRAMES, DIM, EPOCHS = 9_537, 101, 16, 192, 8, 512, 5


def table(clips: int, seed: int) -> FeatureTable:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, clips)
    motion = rng.normal(size=(clips, SEGMENTS, MOTION)).astype(np.float32)
    appearance = rng.normal(size=(clips, FRAMES, DIM)).astype(np.float32)
    return FeatureTable(torch.from_numpy(motion), torch.from_numpy(appearance), torch.from_numpy(labels))


def main() -> None:
    train, val = table(CLIPS, 0), table(500, 1)
    joined = torch.cat([train.motion.mean(dim=1), train.appearance.mean(dim=1)], dim=1).numpy()
    peer = MLPClassifier((512,), batch_size=64, max_iter=1, random_state=0)
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer.fit(joined, train.labels.numpy())
    reference = time.perf_counter() - started
    print(f"{CLIPS} clips, {CLASSES} classes, {torch.get_num_threads()} threads")
    print(f"{'scikit-learn MLPClassifier':28} {reference:6.2f} s per epoch")
    for name in list_heads():
        head = create_head(name, MOTION, DIM, CLASSES)
        if head.closed_form:
            continue
        head.fit_statistics(train.motion, train.appearance)
        settings = TrainSettings(epochs=EPOCHS, batch=64, lr=1e-3)
        fit(head, HeadFeed(head, val, val, 64, 0), settings, seed=0, device=torch.device("cpu"))  # warm up
        result = fit(head, HeadFeed(head, train, val, 64, 0), settings, seed=0, device=torch.device("cpu"))
        seconds = result.seconds / EPOCHS
        print(
            f"{name:28} {seconds:6.2f} s per epoch, validation included; "
            f"{reference / seconds:.1f}x the peer's speed"
        )


if __name__ == "__main__":
    main()
