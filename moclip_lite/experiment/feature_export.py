"""The features of a run's clips as one file, for training heads elsewhere or many times."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..datasets import Clip, Fold, VideoDataset
from ..errors import CheckpointError, ConfigError, WeightsUnavailable
from ..results.run_folder import RunFolder
from ..results.trained_on import refuse_trained
from ..streams import Stream
from .division.directions import Directions
from .extraction import Extraction
from .fold.features import Floats, FoldFeatures, mean_tokens
from .fold.one_pass import FoldPass
from .fold.stored import StoredModels
from .inputs.feature_description import Origin
from .inputs.feature_storage import REFITTED, save_features
from .kept_division import keep_division
from .session import Session
from .settings.used import check_used_settings
from .trained_run import trained_run

__all__ = ["export_features"]


def export_features(
    session: Session, folder: Path, path: Path, fold: str | None = None, asked: Collection[str] = ()
) -> int:
    """Write what the heads of a run were trained on, as of :mod:`moclip_lite.experiment.inputs.feature_file`.

    For a run of one stream the file holds that stream. Clips without motion hold the mean of the training
    clips. The file holds the run's folds, validation included; each has the features of its own network.

    Args:
        session: made from the run's configuration.
        folder: the run folder.
        path: the file to write.
        fold: name of one fold; all of them by default.
        asked: keys of the settings that were given for this file; they hold for all folds.

    Returns:
        How many clips the file holds.

    Raises:
        ConfigError: no such fold, or a changed setting that has no effect on trained weights.
        CheckpointError: the run holds no features, lacks a motion network, or was divided otherwise.
    """
    if session.feature_file is not None:
        raise CheckpointError(f"{folder} was trained on a file of features; use that file")
    kept = keep_division(session, folder)
    run = trained_run(session, folder)
    session.directions = Directions.of_run(run, session.experiment, session.folds, asked)
    changes = check_used_settings(run.config, session.experiment, predicts=False)
    for sentence in (*changes, *session.directions.notes):
        session.reporter.warn(sentence)
    chosen = _choose(session.folds, fold)
    for part in chosen:
        division, known = run.fold(part.name).division, (session.dataset.place, session.content_digests)
        if division.is_file():
            refuse_trained(division, part.test, *known, "test", kept)
            refuse_trained(division, part.val, *known, "val", kept)
    streams = set(session.experiment.run.streams)
    motion, appearance = bool(streams & {"motion", "fusion"}), bool(streams - {"motion"})
    extraction = session.extraction
    if extraction.unavailable is not None:
        if not any(run.fold(f.name).has(Stream.MOTION) for f in chosen):
            raise WeightsUnavailable(extraction.unavailable)
        appearance = False  # as in the run itself: its motion stream is all there is
    folds = [_readable(f, extraction, motion, appearance) for f in chosen]
    clips = list({clip.name: clip for f in folds for clip in f.clips()}.values())
    if not clips:
        raise CheckpointError(f"{folder}: none of its clips can be read, so there are no features")
    features = [FoldFeatures(session, f, extraction) for f in folds]
    tokens = {f.fold.name: _tokens(f, run) for f in features} if motion else {}
    networks = {f.fold.name: str(f.network_digest) for f in features} if motion else {}
    encoder = session.encoder_identity if appearance else {}
    refitted = motion and any(session.experiment.train_motion.refits(f.known) for f in folds)
    if refitted:
        session.reporter.warn(REFITTED)
    save_features(
        path,
        VideoDataset(path, tuple(clips), session.labels),
        tokens[folds[0].name] if motion and len(folds) == 1 else tokens or None,
        features[0].appearance(clips) if appearance else None,
        session.class_vectors if appearance and session.inputs.has_text else None,
        Origin(tuple(folds), _division(session), networks, encoder, str(folder.resolve()), refitted),
    )
    return len(clips)


def _division(session: Session) -> dict[str, object]:
    """The settings that divided the clips."""
    data = session.experiment.data
    official = bool(session.dataset.official) and data.protocol == "holdout"
    return {
        "protocol": "official" if official else data.protocol,
        "test_fraction": data.test_fraction,
        "val_fraction": data.val_fraction,
        "seed": session.experiment.run.seed,
        **({} if data.folds is None else {"folds": data.folds}),
    }


def _choose(folds: Sequence[Fold], name: str | None) -> list[Fold]:
    if name is None:
        return list(folds)
    names = [fold.name for fold in folds]
    if name not in names:
        raise ConfigError(f"--fold must be one of {', '.join(names)}, got {name}")
    return [folds[names.index(name)]]


def _readable(fold: Fold, extraction: Extraction, motion: bool, appearance: bool) -> Fold:
    """The fold with the clips that every stream could read."""

    def readable(clips: Sequence[Clip]) -> tuple[Clip, ...]:
        return tuple(
            clip
            for clip in clips
            if (not motion or clip.name in extraction.motion.keys)
            and (not appearance or clip.name in extraction.appearance.keys)
        )

    return replace(fold, train=readable(fold.train), val=readable(fold.val), test=readable(fold.test))


def _tokens(features: FoldFeatures, run: RunFolder) -> Floats:
    """Motion tokens of a fold's clips in their order, by its network."""
    fold = features.fold
    folder = run.fold(fold.name)
    motion = FoldPass(features, StoredModels(features, folder)).motion(("train", "val", "test"))
    if motion is None:
        raise CheckpointError(f"{folder.weights(Stream.MOTION)} is missing")
    absent = mean_tokens(fold.train, motion.tokens)
    if absent is None:
        raise CheckpointError(f"{run.path}: no training clip of fold {fold.name} has motion")
    return np.stack([motion.tokens.get(clip.name, absent) for clip in fold.clips()]).astype(np.float32)
