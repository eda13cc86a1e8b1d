"""Testing a run folder again: other views, another part of the data, another data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..datasets.extraction import ExtractReport
from ..errors import CheckpointError
from ..fusion import build_head
from ..fusion.features import head_scores
from ..motion.network import build_motion_net
from ..motion.store import MotionStore
from ..results.run_folder import RunFolder
from ..results.trained_on import refuse_trained
from ..results.write import FoldResult, join_folds
from ..training.checkpoint import check_sources, load_weights
from .heads import HEADS, head_tables
from .session import Workspace
from .stages import (
    SOURCES,
    FoldInputs,
    motion_table,
)

__all__ = ["evaluate_run"]


def evaluate_run(space: Workspace, folder: Path, part: Literal["val", "test"] = "test") -> dict[str, Any]:
    """Score the weights of a run folder; nothing is trained or written there.

    Args:
        space: made from the run's configuration, possibly with other data or test views.
        folder: the run folder.
        part: which clips of each fold.

    Returns:
        Scores by stream, as in metrics.json.

    Raises:
        CheckpointError: weights are missing, damaged, made for other labels, or heads of another motion network
            or encoder; or clips of `part` were used in their training.
    """
    if space.feature_file is not None:
        raise CheckpointError(
            f"{folder} was trained on a file of features; `moclip run {folder}` tests it on the file's test clips"
        )
    run = RunFolder(folder, [fold.name for fold in space.folds])
    for fold in space.folds:
        division, tested = run.division(fold.name), getattr(fold, part)
        note = refuse_trained(division, tested, space.dataset.root, space.content_digests, part)
        if note is not None:
            space.reporter.warn(note)
    clips = [clip for fold in space.folds for clip in fold.clips()]
    unique = list({clip.name: clip for clip in clips}.values())
    motion = space.extract_motion(unique)
    needs_clip = any(
        run.weights(fold, stage).is_file()
        for fold in run.folds
        for stage, sources in SOURCES.items()
        if "encoder" in sources
    )
    appearance = space.extract_appearance(unique) if needs_clip else ExtractReport("clip")
    results = []
    for fold in space.folds:
        inputs = FoldInputs(fold, space.dataset.labels, motion.keys, appearance.keys)
        results.append(_evaluate_fold(space, run.fold(fold.name), inputs, part))
    metrics = join_folds(results, unique, space.dataset.labels)
    if not any(stream in metrics for stream in ("motion", "appearance", "fusion")):
        raise CheckpointError(f"{folder} holds no trained weights")
    return metrics | {"part": part, "failures": [vars(f) for f in motion.failures + appearance.failures]}


def _evaluate_fold(space: Workspace, folder: Path, inputs: FoldInputs, part: str) -> FoldResult:
    out = FoldResult(inputs.name)
    labels = inputs.labels
    store = MotionStore(space.cache, inputs.motion, space.experiment.motion)
    features: dict[str, Any] = {}
    path = folder / "motion.safetensors"
    if path.is_file():
        model = build_motion_net(space.experiment.motion, len(labels), pretrained=False).to(space.device)
        load_weights(path, model, labels)
        needed = {c.name: c for p in ("train", part) for c in inputs.part(p, motion=True, clip=False)}
        features, scores = motion_table(space, model, store, inputs, list(needed.values()))
        tested = inputs.part(part, motion=True, clip=False)
        uniform = np.full(len(labels), 1 / len(labels), np.float32)
        out.scores["motion"] = (
            [c.name for c in tested],
            np.stack([scores.get(c.name, uniform) for c in tested]),
        )
    heads = {**HEADS, "fusion": space.experiment.fusion.head}
    present = {stage: name for stage, name in heads.items() if (folder / f"{stage}.safetensors").is_file()}
    if not present or not inputs.clip:
        return out
    found = {"motion_network": inputs.motion_network, "encoder": space.encoder_identity["digest"]}
    for stage in present:
        check_sources(folder / f"{stage}.safetensors", found, SOURCES[stage])
    fused = "fusion" in present
    parts = {name: inputs.part(name, motion=fused, clip=True) for name in ("train", part)}
    tables = head_tables(space, inputs, parts, features)
    for stage, name in present.items():
        head = build_head(
            space.experiment.fusion,
            name,
            tables[part].motion.shape[-1],
            tables[part].appearance.shape[-1],
            len(labels),
        )
        load_weights(folder / f"{stage}.safetensors", head, labels)
        out.scores[stage] = ([c.name for c in parts[part]], head_scores(head.to(space.device), tables[part]))
    return out
