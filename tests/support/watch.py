"""A model of windows that answers by the direction of motion, and cameras that move by turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from moclip_lite.experiment.config import load_experiment
from moclip_lite.results.calibration import Calibration
from moclip_lite.streams import Stream

from support.clips import H264, encode, panning

__all__ = ["Directions", "turns"]

Floats = npt.NDArray[np.float32]


class Directions:
    """Left or right by the mean horizontal motion; "none" where content stands still."""

    labels = ("left", "right", "up", "down")

    def __init__(self) -> None:
        settings = ["motion.segments=4", "motion.frames=2", "motion.grid=[8,8]", "clip.frames=2"]
        self.experiment = load_experiment(None, settings)
        self.calibration = Calibration(window=0.8)
        self.heads: dict[Stream, Any] = {}
        self.windows = 0

    @property
    def motion(self) -> Directions:
        return self

    def motion_features(self, motion: npt.NDArray[np.float16]) -> tuple[Floats, Floats]:
        self.windows += 1
        right = float(motion[:, :, 0].astype(np.float32).mean())
        scores = np.full(4, 0.25, np.float32)
        if abs(right) > 0.5:
            scores[:] = 0.05
            scores[int(right > 0)] = 0.85
        return np.zeros((1, 4), np.float32), scores

    def appearance_features(self, pictures: npt.NDArray[np.uint8]) -> Floats:
        raise AssertionError("no head looks at pictures")

    def head_scores(self, stream: Stream, tokens: Floats | None, appearance: Floats) -> Floats:
        raise AssertionError("there is no head")


def turns(path: Path, count: int = 3, frames: int = 40) -> Path:
    """Content that moves right and left by turns, each for `frames` pictures at 25 per second, from 0 on."""
    parts = [panning(frames, step=(3, 0) if i % 2 == 0 else (-3, 0)) for i in range(count)]
    return encode(path, np.concatenate(parts), **{**H264, "g": "10"})
