"""The head stage of a fold: fusion and controls trained and tested on features, class names tested."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ..appearance.zero_shot import zero_shot_scores
from ..datasets import Clip
from ..errors import DataError
from ..fusion.features import FeatureTable, head_scores
from ..parallel.ranks import share
from ..results.write import FoldResult
from ..storage.files import write_json
from ..training.costs import count_cost
from .session import Workspace
from .stages import FoldInputs, appearance_features, train_head

__all__ = ["HEADS", "head_stage", "head_tables", "zero_shot_stage"]

HEADS = {
    "appearance": "appearance_only",
    "appearance_frame": "appearance_one_frame",
    "motion_head": "motion_only",
}
"""Controls trained beside the fusion head: run-folder name -> head."""


def head_stage(
    space: Workspace,
    inputs: FoldInputs,
    folder: Path,
    out: FoldResult,
    features: dict[str, npt.NDArray[np.float32]],
    streams: set[str],
) -> None:
    """Train and test the heads: appearance, and where there is motion the fusion and its control.

    `streams` may ask for the control alone, "motion_head"; then no appearance is looked at.
    """
    fused = "fusion" in streams
    sees = fused or "appearance" in streams
    if share().leads and sees:  # a head is of use with these weights only
        write_json(folder / "encoder.json", space.encoder_identity)
    moves = fused or "motion_head" in streams
    parts = {name: inputs.part(name, motion=moves, clip=sees) for name in ("train", "val", "test")}
    tables = head_tables(space, inputs, parts, features)
    heads: dict[str, str] = {}
    if "appearance" in streams:
        heads["appearance"] = HEADS["appearance"]
        if tables["train"].appearance.shape[1] > 1:
            heads["appearance_frame"] = HEADS["appearance_frame"]
    if fused:
        heads["fusion"] = space.experiment.fusion.head
    if moves:
        heads["motion_head"] = HEADS["motion_head"]
    for stage, name in heads.items():
        head, result = train_head(space, name, stage, tables, inputs, folder)
        out.training[stage] = vars(result)
        out.seconds[f"train_{stage}"] = result.seconds
        out.scores[stage] = ([c.name for c in parts["test"]], head_scores(head, tables["test"]))
        one = [tables["test"].motion[:1].to(space.device), tables["test"].appearance[:1].to(space.device)]
        out.costs[stage] = count_cost(head, one)


def zero_shot_stage(space: Workspace, inputs: FoldInputs, out: FoldResult) -> None:
    """Test the class names alone; nothing is trained."""
    test = inputs.part("test", motion=False, clip=True)
    if not test:
        raise DataError("no clip of the test part could be read")
    scores = zero_shot_scores(appearance_features(space, inputs, test), space.class_vectors)
    out.scores["zero_shot"] = ([c.name for c in test], scores)
    out.costs["zero_shot"] = {"parameters": 0, "trainable": 0, "gflops": 0.0, "latency_ms": 0.0}


def head_tables(
    space: Workspace,
    inputs: FoldInputs,
    parts: dict[str, list[Clip]],
    features: dict[str, npt.NDArray[np.float32]],
) -> dict[str, FeatureTable]:
    """Features of the clips of each part; `parts` must hold "train".

    Raises:
        DataError: a part has no clip.
    """
    for name, clips in parts.items():
        if not clips:
            raise DataError(f"no clip of the {name} part could be read")
    known = [features[c.name] for c in parts["train"] if c.name in features]
    absent: npt.NDArray[np.float32] = np.mean(known, axis=0) if known else np.zeros(1, np.float32)
    number = {label: i for i, label in enumerate(inputs.labels)}
    return {
        name: FeatureTable(
            torch.from_numpy(np.stack([features.get(c.name, absent) for c in clips]).astype(np.float32)),
            torch.from_numpy(appearance_features(space, inputs, clips)),
            torch.tensor([number[c.label] for c in clips]),
        )
        for name, clips in parts.items()
    }
