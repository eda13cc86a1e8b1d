"""Training and testing every fold of an experiment, and writing its run folder."""

from __future__ import annotations

from collections.abc import Sequence

from ..datasets.clip_notes import write_notes
from ..datasets.extraction import write_failures
from ..parallel.ranks import share, wait_for_all
from ..results.fold_folder import FoldFolder
from ..results.fold_result import FoldResult, join_scores, sum_seconds
from ..results.held_out import HeldOut, write_held_out
from ..results.metrics import Metrics
from ..results.trained_on import write_division
from ..results.write import write_results
from ..storage.files import write_json
from ..streams import ANSWERS, Stream
from .calibrate import calibrate, calibrate_cascade
from .features import FoldFeatures
from .fit_notes import fit_notes
from .fold import FoldPass
from .session import Session
from .trainable import PARTS, trainable_streams
from .training import TrainedModels

__all__ = ["train_folds"]


def train_folds(session: Session) -> Metrics:
    """Train and test every fold and write the run folder, which the caller holds.

    Raises:
        MoclipError: the input can't be used; what was finished is kept.
    """
    leads, run, extraction = share().leads, session.run_folder, session.extraction
    if session.feature_file is None:
        session.cache.fetch("motion", extraction.motion.keys.values())
        session.cache.fetch("clip", extraction.appearance.keys.values())
    notes = session.keep_directions()
    if leads:
        run.describe(session.saved_experiment.to_yaml(), session.labels)
        write_failures(run.failures, extraction.failures)
        write_notes(run.notes, extraction.clip_notes)
    results = [_train_fold(FoldFeatures(session, fold, extraction)) for fold in session.folds]
    results[0].notes.extend(notes)
    metrics = _metrics(session, results)
    if leads:
        run.end()
        write_results(run, metrics, results)
        run.ledger.clear()
    wait_for_all()
    return metrics


def _train_fold(features: FoldFeatures) -> FoldResult:
    """Train and test one fold."""
    session, fold = features.session, features.fold
    folder = session.run_folder.fold(fold.name)
    models = TrainedModels(features, folder)
    if len(session.folds) > 1:
        session.reporter.say(
            f"fold {fold.name}: {len(fold.train)} train, {len(fold.val)} validation, {len(fold.test)} test"
        )
    streams = trainable_streams(features, models.result)
    if share().leads:
        _write_origins(features, folder, streams)
    result = FoldPass(features, models, ledger=session.run_folder.ledger).test(streams, PARTS)
    if share().leads:
        write_json(folder.training, result.training)
        if session.feature_file is None:
            _write_calibration(features, result, folder)
    return result


def _write_origins(features: FoldFeatures, folder: FoldFolder, streams: set[Stream]) -> None:
    """Write what belongs to the weights of a fold: settings, labels, clips, and sources of features."""
    session, file = features.session, features.session.feature_file
    folder.describe(session.saved_experiment.to_yaml(), session.labels)
    write_division(folder.division, features.fold, session.dataset.place, session.content_digests)
    if any(stream.sees_pictures and stream.sources for stream in streams):
        write_json(folder.encoder, session.encoder_identity)
    if file is not None:
        root = str(session.saved_experiment.data.root)
        origin = "" if file.origin is None else file.origin.folder
        write_json(folder.features, {"file": root, "digest": file.digest, "run": origin})


def _write_calibration(features: FoldFeatures, result: FoldResult, folder: FoldFolder) -> None:
    """Write what validation clips say about the answers of prediction, and the scores of the head that answers."""
    calibrate(features, result).write(folder.timeline)
    heads = [stream for stream in ANSWERS if stream.sources and stream in result.validation]
    if heads:
        tests = result.validation[heads[0]]
        write_held_out(folder.held_out, HeldOut([clip.name for clip in tests.clips], tests.scores))
    cascade = calibrate_cascade(result)
    if cascade is not None:
        cascade.write(folder.cascade)
        features.session.reporter.say(cascade.words)


def _metrics(session: Session, results: Sequence[FoldResult]) -> Metrics:
    """Scores over all folds, costs, times, and what a reader should know."""
    extraction, file, own = session.extraction, session.feature_file, session.inputs.own_appearance
    streams, clip = join_scores(results), session.experiment.clip
    weights = f"{clip.model}, " + ("RANDOM weights" if clip.random else clip.pretrained)
    if file is not None:
        weights = f"features of {session.experiment.data.root}"
    elif extraction.unavailable or not any(stream.sees_pictures for stream in streams):
        weights = "none"
    elif own is not None:
        weights = f"features of {own.path} ({own.model or 'backbone not named'})"
    seconds = {"extract_motion": extraction.motion.seconds, "extract_clip": extraction.appearance.seconds}
    return Metrics(
        streams,
        {str(stream): cost for stream, cost in results[0].costs.items()},
        seconds | sum_seconds(results),
        labels=session.labels,
        folds=tuple(fold.name for fold in session.folds),
        clips={part: sum(len(getattr(fold, part)) for fold in session.folds) for part in PARTS},
        appearance_weights=weights,
        notes=tuple(sorted(extraction.notes.union(*(result.notes for result in results)))),
        choices=tuple(fit_notes(results)),
        failures=tuple(vars(failure) for failure in extraction.failures),
        fingerprint=session.fingerprint,
        resolved_fingerprint=session.resolved_fingerprint,
    )
