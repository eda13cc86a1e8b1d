"""A head trained on features whose class needs both streams.

PYTEST_DONT_REWRITE: helpers that test modules import by name.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from moclip_lite.fusion import create_head
from moclip_lite.fusion.features import HeadFeed, head_scores
from moclip_lite.fusion.tables import FeatureTable
from moclip_lite.fusion.training import fit_head
from moclip_lite.training.device import seed_all
from moclip_lite.training.loop import TrainingProgress
from moclip_lite.training.settings import TrainSettings


def table(clips: int = 120, classes: int = 4, seed: int = 0) -> FeatureTable:
    """Features of which the class is (sign of a motion feature, sign of an appearance feature)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, clips)
    motion = rng.normal(0, 0.3, (clips, 6)) + np.eye(6)[labels % 2] * 2
    appearance = rng.normal(0, 0.3, (clips, 3, 5)) + np.eye(5)[labels // 2][:, None] * 2
    return FeatureTable(
        torch.from_numpy(motion.astype(np.float32)),
        torch.from_numpy(appearance.astype(np.float32)),
        torch.from_numpy(labels),
    )


def train_head(
    name: str, epochs: int = 25, progress: TrainingProgress | None = None, *, seed: int = 0
) -> tuple[nn.Module, float]:
    """A trained head, and its accuracy on test features in percent."""
    train, val, test = table(seed=1), table(60, seed=2), table(200, seed=3)
    seed_all(seed)
    head = create_head(name, 6, 5, 4, hidden=32)
    head.fit_statistics(train.motion, train.appearance)
    settings = TrainSettings(epochs=epochs, batch=32, lr=5e-3, label_smoothing=0)
    feed = HeadFeed(head, train, val, 32, seed)
    fit_head(head, feed, settings, seed=seed, device=torch.device("cpu"), progress=progress)
    scores = head_scores(head, test)
    return head, 100 * float((scores.argmax(1) == test.labels.numpy()).mean())
