"""The features of a run's clips as one file, for training heads elsewhere or many times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from .checkpoint import load_weights
from .datasets import Fold, VideoDataset
from .errors import CheckpointError, ConfigError, WeightsUnavailable
from .feature_file import save_features
from .features import MotionStore
from .pipeline import fill_cache
from .run_folder import RunFolder
from .stages import FoldInputs, appearance_features, build_motion_net, motion_table
from .workspace import Workspace

__all__ = ["export_features"]


def export_features(space: Workspace, folder: Path, out: Path, fold: str | None = None) -> int:
    """Write what the heads of a fold were trained on, as of :mod:`moclip_lite.feature_file`.

    Clips without motion hold the mean of the training clips. The fold becomes the file's split.

    Args:
        space: made from the run's configuration.
        folder: the run folder.
        out: the file to write.
        fold: name of the fold, where the run has several: each has its own motion network.

    Returns:
        How many clips the file holds.

    Raises:
        ConfigError: no such fold.
        CheckpointError: the run holds no motion network, or its clips no features.
    """
    if space.feature_file is not None:
        raise CheckpointError(f"{folder} was trained on a file of features; that file is what you look for")
    chosen = _chosen(space.folds, fold)
    weights = RunFolder(folder, [f.name for f in space.folds]).weights(chosen.name, "motion")
    labels = space.dataset.labels
    model = build_motion_net(space.experiment, len(labels)).to(space.device)
    load_weights(weights, model, labels)
    motion, appearance, unavailable = fill_cache(space)
    if unavailable is not None:
        raise WeightsUnavailable(unavailable)
    inputs = FoldInputs(chosen, labels, motion.keys, appearance.keys)
    parts = {name: inputs.part(name, motion=True, clip=True) for name in ("train", "val", "test")}
    clips = [clip for part in parts.values() for clip in part]
    store = MotionStore(space.cache, motion.keys, space.experiment.motion.spec())
    tokens, _ = motion_table(space, model, store, inputs, clips)
    known = [tokens[clip.name] for clip in parts["train"] if clip.name in tokens]
    if not known:
        raise CheckpointError(f"{folder}: no training clip has motion")
    absent: npt.NDArray[np.float32] = np.mean(known, axis=0)
    learn = frozenset(c.name for name in ("train", "val") for c in parts[name])
    split = chosen.name if chosen.name.startswith("split") else "split1"
    official = {split: (learn, frozenset(c.name for c in parts["test"]))}
    save_features(
        out,
        VideoDataset(out, tuple(clips), labels, official),
        np.stack([tokens.get(clip.name, absent) for clip in clips]).astype(np.float32),
        appearance_features(space, inputs, clips),
        space.class_vectors,
    )
    return len(clips)


def _chosen(folds: list[Fold], name: str | None) -> Fold:
    names = [fold.name for fold in folds]
    if name is None and len(folds) == 1:
        return folds[0]
    if name not in names:
        raise ConfigError(f"--fold must be one of {', '.join(names)}, got {name or 'none'}")
    return folds[names.index(name)]
