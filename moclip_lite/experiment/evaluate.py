"""Testing a run folder again: other views, another part of the data, another data set."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from ..datasets import Fold
from ..errors import CheckpointError
from ..results.fold_folder import FoldFolder
from ..results.fold_result import FoldResult, join_scores
from ..results.metrics import Metrics
from ..results.run_folder import RunFolder
from ..results.trained_on import refuse_trained
from ..streams import Stream
from .division.directions import Directions
from .extraction import Extraction
from .fold.features import FoldFeatures
from .fold.one_pass import FoldPass
from .fold.stored import StoredModels
from .kept_division import keep_division
from .session import Session
from .settings.used import check_used_settings, refuse_other_fold
from .trained_run import trained_run

__all__ = ["evaluate_run"]


def evaluate_run(
    session: Session, folder: Path, part: Literal["val", "test"] = "test", asked: Collection[str] = ()
) -> Metrics:
    """Score the weights of a run folder; nothing is trained or written there.

    Args:
        session: made from the run's configuration, possibly with other data or test views.
        folder: the run folder.
        part: which clips of each fold.
        asked: keys of the settings that were given for this test; they hold for all folds.

    Raises:
        ConfigError: a changed setting that has no effect on trained weights.
        CheckpointError: weights are missing, damaged, made for other labels, or heads of another motion
            network or encoder; or clips of `part` were used in their training.
    """
    if session.feature_file is not None:
        raise CheckpointError(
            f"{folder} was trained on a file of features; "
            f"`moclip run {folder}` tests it on the file's test clips"
        )
    _refuse_fold(folder)
    kept = keep_division(session, folder)
    run = trained_run(session, folder)
    session.directions = Directions.of_run(run, session.experiment, session.folds, asked)
    changes = check_used_settings(run.config, session.experiment, predicts=False)
    for sentence in (*run.missing_answers(), *changes, *session.directions.notes):
        session.reporter.warn(sentence)
    for fold in session.folds:
        division, tested = run.fold(fold.name).division, getattr(fold, part)
        note = refuse_trained(division, tested, session.dataset.place, session.content_digests, part, kept)
        refuse_other_fold(run.fold(fold.name))
        if note is not None:
            session.reporter.warn(note)
        if part == "val" and _refitted(session, fold, _stored(run.fold(fold.name))):
            session.reporter.warn(
                f"fold {fold.name}: the weights that answer were trained on these validation clips too "
                "(refit), so that their scores are too high; "
                "`moclip run` with train_motion.refit=false and train_head.refit=false keeps them apart"
            )
    extraction = Extraction(session.extractor.motion(session.clips))
    chosen = _chosen(session) if "run.streams" in asked else set(Stream)
    stored = {fold.name: _stored(run.fold(fold.name)) & chosen for fold in session.folds}
    if any(stream.sees_pictures for streams in stored.values() for stream in streams):
        extraction = Extraction(extraction.motion, session.extractor.appearance(session.clips))
    results = [
        _evaluate_fold(session, fold, run.fold(fold.name), extraction, part, stored[fold.name])
        for fold in session.folds
    ]
    streams = join_scores(results)
    if not streams.keys() & {Stream.MOTION, Stream.APPEARANCE, Stream.FUSION}:
        of = f" of run.streams={list(session.experiment.run.streams)}" if chosen != set(Stream) else ""
        raise CheckpointError(f"{folder} holds no trained weights{of}")
    return Metrics(streams, part=part, failures=tuple(vars(failure) for failure in extraction.failures))


def _refuse_fold(folder: Path) -> None:
    """Refuse the folder of one fold: its run is what is tested."""
    run_path = folder.resolve().parent.parent
    if any(fold.path.resolve() == folder.resolve() for fold in RunFolder(run_path).fold_folders()):
        raise CheckpointError(
            f"{folder} is one fold of a run; give the run's folder: moclip evaluate {run_path}"
        )


def _refitted(session: Session, fold: Fold, streams: set[Stream]) -> bool:
    """Whether weights of these streams were trained on the fold's validation clips too."""
    experiment = session.experiment
    settings = [experiment.train_motion if s is Stream.MOTION else experiment.train_head for s in streams]
    return any(section.refits(fold.known) for section in settings)


def _stored(folder: FoldFolder) -> set[Stream]:
    """Streams whose weights a folder holds."""
    return {stream for stream in Stream if folder.has(stream)}


def _chosen(session: Session) -> set[Stream]:
    """The streams that are asked for, with the controls beside them."""
    streams = {Stream(name) for name in session.experiment.run.streams}
    controls = {Stream.FUSION: Stream.MOTION_HEAD, Stream.APPEARANCE: Stream.APPEARANCE_FRAME}
    return streams | {control for stream, control in controls.items() if stream in streams}


def _evaluate_fold(
    session: Session, fold: Fold, folder: FoldFolder, extraction: Extraction, part: str, streams: set[Stream]
) -> FoldResult:
    if not extraction.appearance.keys:
        streams &= {Stream.MOTION}
    features = FoldFeatures(session, fold, extraction)
    return FoldPass(features, StoredModels(features, folder), part).test(streams, ("train", part))
