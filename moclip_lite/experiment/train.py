"""Training and testing every fold of an experiment, and writing its run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from ..datasets.clip_notes import write_notes
from ..datasets.extraction import write_failures
from ..errors import DataError
from ..parallel.ranks import share, wait_for_all
from ..results.fitted_for import digests_of_weights
from ..results.fold_folder import FoldFolder
from ..results.fold_result import FoldResult, join_scores, sum_seconds
from ..results.held_out import HeldOut, write_held_out
from ..results.metrics import Metrics
from ..results.run_files import files_of_run
from ..results.trained_on import write_division
from ..results.write import write_results
from ..storage.files import write_json
from ..streams import ANSWERS, Stream
from .fit_notes import fit_notes
from .fold.calibrate import calibrate, calibrate_cascade
from .fold.features import FoldFeatures
from .fold.one_pass import FoldPass
from .fold.training import TrainedModels
from .inputs.feature_file import FeatureFile
from .inputs.feature_storage import REFITTED
from .session import Session
from .settings.asked_flips import keep_asked_flips
from .settings.idle import idle_division, idle_settings, idle_splits

__all__ = ["train_folds"]

_PARTS: Final = ("train", "val", "test")

_Note = Callable[[str], None]


def train_folds(session: Session) -> Metrics:
    """Train and test every fold and write the run folder, which the caller holds.

    Raises:
        MoclipError: the input can't be used; what was finished is kept.
    """
    experiment = session.experiment
    idle = idle_settings(experiment) + idle_splits(experiment, session.folds)
    idle += idle_division(experiment, session.dataset)
    for sentence in idle:
        session.reporter.warn(sentence)
    leads, run, extraction = share().leads, session.run_folder, session.extraction
    if session.feature_file is None:
        session.cache.fetch("motion", extraction.motion.keys.values())
        session.cache.fetch("clip", extraction.appearance.keys.values())
    notes = session.keep_directions()
    notes += idle
    if leads:
        keep_asked_flips(run, session.asked)
        run.describe(session.saved_experiment.to_yaml(), session.labels)
        write_failures(run.failures, extraction.failures)
        write_notes(run.notes, extraction.clip_notes)
    results = [_train_fold(FoldFeatures(session, fold, extraction)) for fold in session.folds]
    results[0].notes.extend(notes)
    metrics = _metrics(session, results)
    if leads:
        run.end()
        metrics = replace(metrics, files=files_of_run(run.path, [run.fold(f.name) for f in session.folds]))
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
    streams = _trainable_streams(features, models.result)
    if share().leads:
        _write_origins(features, folder, streams)
    result = FoldPass(features, models, ledger=session.run_folder.ledger).test(streams, _PARTS)
    if share().leads:
        write_json(folder.training, result.training)
        if session.feature_file is None:
            _write_calibration(features, result, folder)
    return result


def _trainable_streams(features: FoldFeatures, result: FoldResult) -> set[Stream]:
    """The requested streams that the clips or the file of features allow, with their controls.

    Args:
        features: of the fold.
        result: of the fold; its notes tell which are left out and why.

    Raises:
        DataError: none.
    """
    session = features.session

    def note(text: str) -> None:
        result.notes.append(text)
        session.reporter.warn(text)

    requested = {Stream(name) for name in session.experiment.run.streams}
    if session.feature_file is None:
        streams = _of_videos(features, requested, note)
    else:
        streams = _of_file(session.feature_file, requested, note)
    if Stream.APPEARANCE not in streams:
        return streams
    streams.add(Stream.APPEARANCE_FRAME)
    if session.inputs.has_text:
        return streams | {Stream.ZERO_SHOT}
    if session.feature_file is None:
        own, model = session.experiment.data.appearance, session.experiment.clip.model
        reason = f"{model} has no text encoder" if own is None else f"{own} holds no text embeddings"
        result.notes.append(f"zero-shot is left out: {reason}")
    return streams


def _of_videos(features: FoldFeatures, requested: set[Stream], note: _Note) -> set[Stream]:
    """Streams that the clips allow, and the control of the fusion."""
    streams = set(requested)
    if not features.appearance_keys:
        streams -= {Stream.APPEARANCE, Stream.FUSION, Stream.ZERO_SHOT}
    if streams & {Stream.MOTION, Stream.FUSION}:
        readable = {part: features.clips(part, motion=True) for part in _PARTS}
        still = {clip.name for clips in readable.values() for clip in clips if features.store.empty(clip)}
        if still:
            note(f"{len(still)} clips hold no motion at all (only I pictures): their classes are guessed")
        if len({clip.label for clip in readable["train"] if clip.name not in still}) < 2:
            note("motion and fusion are left out: no motion to train on in at least two classes")
            streams -= {Stream.MOTION, Stream.FUSION}
    if not streams:
        raise DataError(f"fold {features.fold.name}: no stream can be trained on these clips")
    return streams | {Stream.MOTION_HEAD} if Stream.FUSION in streams else streams


def _of_file(file: FeatureFile, requested: set[Stream], note: _Note) -> set[Stream]:
    """Streams that a file of features allows.

    The motion stream is its control head here: there is no motion network to test.
    """
    present = {Stream.MOTION: file.has_motion, Stream.APPEARANCE: file.has_appearance}
    for stream, there in present.items():
        if not there and requested & {stream, Stream.FUSION}:
            note(f"fusion is left out: the file of features holds no features of {stream}")
    if file.has_motion and file.origin is not None and file.origin.refitted:
        note(REFITTED)
    streams = requested - {Stream.MOTION}
    if not file.has_motion:
        streams -= {Stream.FUSION}
    elif requested & {Stream.MOTION, Stream.FUSION}:
        streams.add(Stream.MOTION_HEAD)
    if not file.has_appearance:
        streams -= {Stream.APPEARANCE, Stream.FUSION, Stream.ZERO_SHOT}
    if not streams:
        held = " and ".join(stream for stream, there in present.items() if there)
        raise DataError(f"{file.dataset.shown} holds features of {held}; run.streams asks for none of that")
    return streams


def _write_origins(features: FoldFeatures, folder: FoldFolder, streams: set[Stream]) -> None:
    """Write what belongs to the weights of a fold: settings, labels, clips, and sources of features."""
    session, file = features.session, features.session.feature_file
    saved = session.directions.of(session.saved_experiment, features.fold.name)
    folder.describe(saved.to_yaml(), session.labels)
    write_division(folder.division, features.fold, session.dataset.place, session.content_digests)
    if any(stream.sees_pictures and stream.sources for stream in streams):
        write_json(folder.encoder, session.encoder_identity)
    if file is not None:
        root = str(session.saved_experiment.data.root)
        origin = "" if file.origin is None else file.origin.folder
        write_json(folder.features, {"file": root, "digest": file.digest, "run": origin})


def _write_calibration(features: FoldFeatures, result: FoldResult, folder: FoldFolder) -> None:
    """Write what validation clips say about the answers, and the scores of the head that answers."""
    calibration = calibrate(features, result)
    weights = digests_of_weights(folder, calibration.streams)
    replace(calibration, weights=weights).write(folder.timeline)
    heads = [stream for stream in ANSWERS if stream.sources and stream in result.validation]
    if heads:
        tests = result.validation[heads[0]]
        write_held_out(folder.held_out, HeldOut([clip.name for clip in tests.clips], tests.scores))
    cascade = calibrate_cascade(result)
    if cascade is not None:
        weights = digests_of_weights(folder, (Stream.MOTION, Stream.FUSION))
        replace(cascade, weights=weights).write(folder.cascade)
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
    counted = session.directions.of(session.experiment, session.folds[0].name)  # as its costs are
    seconds = {"extract_motion": extraction.motion.seconds, "extract_clip": extraction.appearance.seconds}
    return Metrics(
        streams,
        {str(stream): cost for stream, cost in results[0].costs.items()},
        seconds | sum_seconds(results),
        labels=session.labels,
        folds=tuple(fold.name for fold in session.folds),
        clips={part: sum(len(getattr(fold, part)) for fold in session.folds) for part in _PARTS},
        appearance_weights=weights,
        notes=tuple(sorted(extraction.notes.union(*(result.notes for result in results)))),
        choices=tuple(fit_notes(results)),
        failures=tuple(vars(failure) for failure in extraction.failures),
        fingerprint=session.fingerprint,
        resolved_fingerprint=session.resolved_fingerprint,
        counted={"views": counted.views, "frames": clip.frames},
    )
