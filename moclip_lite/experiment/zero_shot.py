"""Zero-shot classification: frames against sentences, nothing trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..appearance.extract import read_clip_frames
from ..appearance.open_clip import AppearanceEncoder
from ..appearance.zero_shot import zero_shot_scores
from ..datasets.extraction import ExtractReport
from ..datasets.prompts import read_prompts
from ..errors import DataError
from ..results.metrics import score
from ..results.statistics import units_of
from .session import Workspace
from .stages import FoldInputs, appearance_features

__all__ = ["zero_shot_dataset", "zero_shot_file"]


def zero_shot_dataset(space: Workspace) -> dict[str, Any]:
    """Classify the test clips of each fold by the class names alone.

    Returns:
        Scores as of :func:`moclip_lite.results.metrics.score`, over the test clips of all folds.

    Raises:
        MoclipError: the data or the model can't be had.
    """
    clips = list({c.name: c for fold in space.folds for c in fold.test}.values())
    if space.feature_file is not None:
        report = ExtractReport("clip", keys=dict.fromkeys((c.name for c in clips), space.feature_file.digest))
    else:
        report = space.extract_appearance(clips)
    present = [clip for clip in clips if clip.name in report.keys]
    if not present:
        first = report.failures[0].reason if report.failures else "there is none"
        raise DataError(f"none of {len(clips)} test clips could be read; the first: {first}")
    labels = space.dataset.labels
    inputs = FoldInputs(space.folds[0], labels, {}, report.keys)
    features = appearance_features(space, inputs, present)
    truth = np.array([labels.index(clip.label) for clip in present], np.int64)
    units = units_of([clip.name for clip in present], [clip.group for clip in present])
    result = score(zero_shot_scores(features, space.class_vectors), truth, labels, units)
    return result | {"failures": [vars(f) for f in report.failures]}


def zero_shot_file(
    space: Workspace, encoder: AppearanceEncoder, path: Path, labels: Sequence[str]
) -> list[tuple[str, float]]:
    """Rank free-text labels for one file.

    Raises:
        FileNotFoundError: no such file.
        mv_tools.MotionError: it can't be read.
    """
    frames = encoder.encode_images(read_clip_frames(path, space.experiment.clip))
    classes = encoder.class_vectors(labels, read_prompts(space.experiment.clip.prompts).check(labels))
    scores = zero_shot_scores(frames[None], classes)[0]
    order = np.argsort(-scores, kind="stable")
    return [(labels[i], float(scores[i])) for i in order]
