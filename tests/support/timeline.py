"""A classifier of random weights whose appearance encoder is a mean colour, for timelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from moclip_lite import Classifier
from moclip_lite.engine.pytorch import TorchEngine
from moclip_lite.experiment.config import load_experiment
from moclip_lite.fusion import build_head
from moclip_lite.fusion.settings import FusionSettings
from moclip_lite.motion.network import build_motion_net
from moclip_lite.results.run_folder import RunFolder
from moclip_lite.streams import Stream

LABELS = ("bricks", "foliage", "water")


class MeanColour:
    """Appearance features of a picture: its mean colour, and how often pictures were encoded."""

    random = False
    weights_digest = "none"

    def __init__(self) -> None:
        self.pictures = 0

    def describe(self) -> str:
        """In words."""
        return "mean colours"

    def encode_images(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 [N, H, W, 3] -> float32 [N, 3]."""
        self.pictures += len(pictures)
        return pictures.mean(axis=(1, 2)).astype(np.float32) / 255


def untrained(folder: Path, *overrides: str, motion: bool = True, heads: bool = True) -> Classifier:
    """A classifier of random weights; the networks are real, the appearance encoder is MeanColour."""
    settings = ["motion.segments=4", "motion.grid=[8,8]", "clip.frames=2", "test.crops=1", "run.device=cpu"]
    experiment = load_experiment(None, [*settings, *overrides])
    torch.manual_seed(0)
    network = build_motion_net(experiment.motion, len(LABELS)).eval()
    made: dict[Stream, Any] = {}
    if heads:
        for stream, name in ((Stream.APPEARANCE, "appearance_only"), (Stream.FUSION, "concat_mlp")):
            made[stream] = build_head(FusionSettings(), name, network.feature_dim, 3, len(LABELS)).eval()
    engine = TorchEngine.__new__(TorchEngine)  # without a folder of weights
    engine._experiment, engine.device = experiment, torch.device("cpu")
    engine.network, engine.has_motion, engine.heads = network if motion else None, motion, made
    engine.__dict__["encoder"] = MeanColour()
    return Classifier(RunFolder(folder), experiment, LABELS, engine)
