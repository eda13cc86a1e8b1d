"""Features with known classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from moclip_lite.datasets import Clip, VideoDataset

LABELS = ("ab", "aB", "Ab", "AB")


def labelled_features(clips: int = 240) -> tuple[VideoDataset, Any, Any, Any]:
    """Case of the first letter is in the motion, of the second in the pictures; 12 groups."""
    rng = np.random.default_rng(0)
    number = np.arange(clips) % 4
    motion = rng.normal(size=(clips, 3, 6)).astype(np.float32) * 0.3
    motion[..., 0] += 2.0 * (number // 2)[:, None]
    appearance = rng.normal(size=(clips, 2, 5)).astype(np.float32) * 0.3
    appearance[..., 0] += 2.0 * (number % 2)[:, None]
    named = [
        Clip(Path("x"), f"{LABELS[n]}/{i}.mp4", LABELS[n], f"g{i // 4 % 12}") for i, n in enumerate(number)
    ]
    test = frozenset(c.name for c in named if c.group in ("g0", "g1", "g2"))
    official = {"split1": (frozenset(c.name for c in named) - test, test)}
    classes = np.eye(4, 5, dtype=np.float32)
    return VideoDataset(Path("x"), tuple(named), LABELS, official), motion, appearance, classes
