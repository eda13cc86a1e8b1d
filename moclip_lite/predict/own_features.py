"""Precomputed appearance features, by file, in place of an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..appearance.clip_arrays import ClipArrays, read_clip_arrays
from ..appearance.zero_shot import unit
from ..engine.base import Floats
from ..errors import DataError
from ..experiment.config import Experiment
from ..results.run_folder import RunFolder
from ..results.trained_on import check_sources
from ..streams import Source, Stream

__all__ = ["explain_own_features", "own_features", "read_own_features"]


def read_own_features(folder: RunFolder, experiment: Experiment, streams: Sequence[Stream]) -> ClipArrays:
    """Precomputed appearance features, by file, that heads were trained on.

    Args:
        folder: the run folder.
        experiment: its configuration, which names the file.
        streams: of the heads.

    Raises:
        DataError: the file is missing; says what is needed.
        CheckpointError: it can't be used, or is of another backbone.
    """
    path = experiment.data.appearance
    if path is None or not path.is_file():
        raise DataError(explain_own_features(folder, experiment))
    arrays = read_clip_arrays(path)
    for stream in streams:
        check_sources(folder, stream, {Source.ENCODER: arrays.identity["digest"]})
    return arrays


def own_features(arrays: ClipArrays, path: Path, folder: RunFolder, experiment: Experiment) -> Floats:
    """Features [frames, D] of a video, as the heads take them.

    Raises:
        DataError: the file of features has none of that video; says what is needed.
    """
    if arrays.find(path) is None:
        raise DataError(
            f"{arrays.path} holds no features of {path}; {explain_own_features(folder, experiment)}"
        )
    rows = arrays.features(path)
    return np.asarray(unit(rows) if experiment.clip.normalize else rows, np.float32)


def explain_own_features(folder: RunFolder, experiment: Experiment) -> str:
    """What prediction needs where the appearance features are precomputed."""
    return (
        f"{folder.path} was trained on appearance features of {experiment.data.appearance}, "
        "which can't be computed from a video here: compute them with the same backbone, "
        "save an array under each video's name, and name the file with --set data.appearance=FILE"
    )
