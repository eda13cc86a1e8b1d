"""The features of a run's clips as one file, for training heads elsewhere or many times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..datasets import Clip, Fold, VideoDataset
from ..datasets.extraction import ExtractReport
from ..errors import CheckpointError, ConfigError, WeightsUnavailable
from ..motion.network import build_motion_net
from ..motion.store import MotionStore
from ..results.run_folder import RunFolder
from ..results.trained_on import refuse_trained
from ..training.checkpoint import load_weights
from .feature_file import Origin, save_features
from .run import fill_cache
from .session import Workspace
from .stages import (
    FoldInputs,
    appearance_features,
    motion_table,
)

__all__ = ["export_features"]

Floats = npt.NDArray[np.float32]


def export_features(space: Workspace, folder: Path, out: Path, fold: str | None = None) -> int:
    """Write what the heads of a run were trained on, as of :mod:`moclip_lite.experiment.feature_file`.

    Of a run of one stream the file holds that stream. Clips without motion hold the mean of the training clips. The
    run's folds, validation included, are the file's; each has the features of its own motion network.

    Args:
        space: made from the run's configuration.
        folder: the run folder.
        out: the file to write.
        fold: name of one fold; all of them by default.

    Returns:
        How many clips the file holds.

    Raises:
        ConfigError: no such fold.
        CheckpointError: the run holds no features, lacks a motion network that it needs, or was divided otherwise.
    """
    if space.feature_file is not None:
        raise CheckpointError(f"{folder} was trained on a file of features; that file is what you look for")
    run = RunFolder(folder, [f.name for f in space.folds])
    chosen = _chosen(space.folds, fold)
    for part in chosen:
        division = run.division(part.name)
        if division.is_file():
            refuse_trained(division, part.test, space.dataset.root, space.content_digests)
            refuse_trained(division, part.val, space.dataset.root, space.content_digests, "val")
    streams = set(space.experiment.run.streams)
    wants_motion, wants_pictures = bool(streams & {"motion", "fusion"}), bool(streams - {"motion"})
    motion, appearance, unavailable = fill_cache(space)
    if unavailable is not None:
        if not any(run.weights(f.name, "motion").is_file() for f in chosen):
            raise WeightsUnavailable(unavailable)
        wants_pictures = False  # as in the run itself: its motion stream is all there is
    usable = [_usable(f, motion, appearance, wants_motion, wants_pictures) for f in chosen]
    clips = list({clip.name: clip for f in usable for clip in f.clips()}.values())
    if not clips:
        raise CheckpointError(f"{folder}: none of its clips can be read, so there are no features")
    labels = space.dataset.labels
    tokens: dict[str, Floats] = {}
    networks: dict[str, str] = {}
    for part in usable if wants_motion else ():
        inputs = FoldInputs(part, labels, motion.keys, appearance.keys)
        tokens[part.name], networks[part.name] = _tokens(space, run, inputs, part)
    pictures = None
    if wants_pictures:
        inputs = FoldInputs(usable[0], labels, motion.keys, appearance.keys)
        pictures = appearance_features(space, inputs, clips)
    data, seed = space.experiment.data, space.experiment.run.seed
    official = data.protocol == "official" or (bool(space.dataset.official) and data.protocol == "holdout")
    origin = Origin(
        tuple(usable),
        {
            "protocol": "official" if official else data.protocol, "test_fraction": data.test_fraction,
            "val_fraction": data.val_fraction, "seed": seed,
        },
        networks, space.encoder_identity if wants_pictures else {}, str(folder.resolve()),
    )  # fmt: skip
    one = tokens[usable[0].name] if len(usable) == 1 and wants_motion else None
    save_features(
        out, VideoDataset(out, tuple(clips), labels), one if len(usable) == 1 else tokens or None, pictures,
        space.class_vectors if wants_pictures else None, origin,
    )  # fmt: skip
    return len(clips)


def _chosen(folds: Sequence[Fold], name: str | None) -> list[Fold]:
    if name is None:
        return list(folds)
    names = [fold.name for fold in folds]
    if name not in names:
        raise ConfigError(f"--fold must be one of {', '.join(names)}, got {name}")
    return [folds[names.index(name)]]


def _usable(
    fold: Fold, motion: ExtractReport, appearance: ExtractReport, needs_motion: bool, needs_pictures: bool
) -> Fold:
    """The fold with the clips that every stream could read."""

    def readable(clips: Sequence[Clip]) -> tuple[Clip, ...]:
        return tuple(
            c for c in clips
            if (not needs_motion or c.name in motion.keys) and (not needs_pictures or c.name in appearance.keys)
        )  # fmt: skip

    return replace(fold, train=readable(fold.train), val=readable(fold.val), test=readable(fold.test))


def _tokens(space: Workspace, run: RunFolder, inputs: FoldInputs, fold: Fold) -> tuple[Floats, str]:
    """Motion tokens of a fold's clips in their order, and the digest of the network that gave them."""
    model = build_motion_net(space.experiment.motion, len(inputs.labels), pretrained=False).to(space.device)
    load_weights(run.weights(fold.name, "motion"), model, inputs.labels)
    store = MotionStore(space.cache, inputs.motion, space.experiment.motion)
    found, _ = motion_table(space, model, store, inputs, fold.clips())
    known = [found[clip.name] for clip in fold.train if clip.name in found]
    if not known:
        raise CheckpointError(f"{run.path}: no training clip of fold {fold.name} has motion")
    absent: Floats = np.mean(known, axis=0)
    rows = np.stack([found.get(clip.name, absent) for clip in fold.clips()]).astype(np.float32)
    return rows, str(inputs.motion_network)
