"""Zero-shot classification: frames against sentences, nothing trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .datasets import Clip
from .errors import ConfigError, DataError
from .extract import ExtractReport, problem_of
from .extract_clip import read_clip_frames
from .labels import read_prompts, readable
from .metrics import score
from .stages import FoldInputs, appearance_features
from .text import zero_shot_scores
from .workspace import Workspace

__all__ = ["check_labels", "zero_shot_dataset", "zero_shot_files"]

Ranking = list[tuple[str, float]]


def zero_shot_dataset(space: Workspace) -> dict[str, Any]:
    """Classify the test clips of each fold by the class names alone.

    Returns:
        Scores as of :func:`moclip_lite.metrics.score`, over the test clips of all folds.

    Raises:
        MoclipError: the data or the model can't be had.
    """
    clips = list({c.name: c for fold in space.folds for c in fold.test}.values())
    report = _appearance(space, clips)
    present = [clip for clip in clips if clip.name in report.keys]
    if not present:
        reasons = "; ".join(sorted({failure.reason for failure in report.failures}))
        raise DataError(f"{space.dataset.root}: none of the {len(clips)} test clips can be read ({reasons})")
    labels = space.dataset.labels
    inputs = FoldInputs(space.folds[0], labels, {}, report.keys)
    features = appearance_features(space, inputs, present)
    truth = np.array([labels.index(clip.label) for clip in present], np.int64)
    result = score(zero_shot_scores(features, space.class_vectors), truth, labels)
    return result | {"failures": [vars(f) for f in report.failures]}


def _appearance(space: Workspace, clips: Sequence[Clip]) -> ExtractReport:
    file = space.feature_file
    if file is None:
        return space.extract_appearance(clips)
    if file.appearance is None:
        raise DataError(f"{file.dataset.root} holds no features of appearance, which zero-shot needs")
    return ExtractReport("clip", keys=dict.fromkeys((clip.name for clip in clips), file.digest))


def check_labels(labels: Sequence[str]) -> None:
    """Refuse labels that can't be told apart.

    Raises:
        ConfigError: fewer than two, an empty one, or two of the same words.
    """
    if len(labels) < 2 or not all(label.strip() for label in labels):
        raise ConfigError("zero-shot needs at least two labels, and none that is empty")
    first: dict[str, str] = {}
    for label in labels:
        words = readable(label) or label
        if words in first:
            raise ConfigError(f"the label {label!r} is given twice (as {first[words]!r} before)")
        first[words] = label


def zero_shot_files(
    space: Workspace, paths: Sequence[Path], labels: Sequence[str]
) -> Iterator[tuple[Path, Ranking | str]]:
    """Rank free-text labels for files.

    Yields:
        Each path with its labels and probabilities, best first, or with the reason why it can't be read.

    Raises:
        ConfigError: see :func:`check_labels`, or a prompt file that can't be used.
        WeightsUnavailable, CheckpointError: the model can't be had.
    """
    check_labels(labels)
    prompts = read_prompts(space.experiment.clip.prompts, labels)
    encoder = space.lazy_encoder.encoder
    classes = encoder.class_vectors(labels, prompts)
    for path in paths:
        try:
            frames = encoder.encode_images(read_clip_frames(path, space.appearance_spec))
        except Exception as error:
            yield path, problem_of(str(path), error)
            continue
        scores = zero_shot_scores(frames[None], classes)[0]
        order = np.argsort(-scores, kind="stable")
        yield path, [(labels[i], float(scores[i])) for i in order]
