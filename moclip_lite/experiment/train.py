"""Training and testing every fold of an experiment, and writing its run folder."""

from __future__ import annotations

from ..datasets.clip_notes import write_notes
from ..datasets.extraction import write_failures
from ..errors import DataError
from ..parallel.ranks import share, wait_for_all
from ..results.held_out import HeldOut, write_held_out
from ..results.metrics import Cost, Metrics
from ..results.run_folder import FoldFolder
from ..results.trained_on import write_division
from ..results.write import FoldResult, join_scores, sum_seconds, with_encoder, write_results
from ..storage.files import write_json
from ..streams import ANSWERS, Stream
from .calibrate import calibrate
from .cascade import calibrate_cascade
from .directions import keep_directions
from .feature_file import REFITTED, FeatureFile
from .features import FoldFeatures
from .fit_notes import fit_notes
from .fold import FoldPass
from .session import Session
from .training import TrainedModels

__all__ = ["train_folds"]

_PARTS = ("train", "val", "test")


def train_folds(session: Session) -> Metrics:
    """Train and test every fold and write the run folder, which the caller holds.

    Raises:
        MoclipError: the input can't be used; what was finished is kept.
    """
    leads, run, extraction = share().leads, session.run_folder, session.extraction
    if session.feature_file is None:
        session.cache.fetch("motion", extraction.motion.keys.values())
        session.cache.fetch("clip", extraction.appearance.keys.values())
    notes = keep_directions(session)
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
    if session.feature_file is None:
        streams = _video_streams(features, models.result)
    else:
        streams = _feature_streams(session, session.feature_file, models.result)
    if share().leads:
        _write_origins(features, folder, streams)
    result = FoldPass(features, models, ledger=session.run_folder.ledger).test(streams, _PARTS)
    if share().leads:
        write_json(folder.training, result.training)
        if session.feature_file is None:
            calibrate(features, result).write(folder.timeline)
            _write_held_out(result, folder)
    _write_cascade(features, models, result, folder)
    return result


def _write_held_out(result: FoldResult, folder: FoldFolder) -> None:
    """Keep the validation scores of the head that answers."""
    heads = [stream for stream in ANSWERS if stream.sources and stream in result.validation]
    if heads:
        clips, scores = result.validation[heads[0]]
        write_held_out(folder.held_out, HeldOut([clip.name for clip in clips], scores))


def _write_cascade(
    features: FoldFeatures, models: TrainedModels, result: FoldResult, folder: FoldFolder
) -> None:
    """Calibrate the cascade of prediction, where there is motion and fusion."""
    cascade = calibrate_cascade(features.labels, result, models.one_frame)
    if cascade is not None and share().leads:
        cascade.write(folder.cascade)
        features.session.reporter.say(cascade.words)


def _write_origins(features: FoldFeatures, folder: FoldFolder, streams: set[Stream]) -> None:
    """Write what belongs to the weights of a fold: settings, labels, clips, and sources of features."""
    session, file = features.session, features.session.feature_file
    folder.describe(session.saved_experiment.to_yaml(), session.labels)
    write_division(folder.division, features.fold, session.dataset.root, session.content_digests)
    if any(stream.sees_pictures and stream.sources for stream in streams):
        write_json(folder.encoder, session.encoder_identity)
    if file is not None:
        root = str(session.saved_experiment.data.root)
        origin = "" if file.origin is None else file.origin.folder
        write_json(folder.features, {"file": root, "digest": file.digest, "run": origin})


def _video_streams(features: FoldFeatures, result: FoldResult) -> set[Stream]:
    """The requested streams that the clips allow, with their controls; reports which are left out and why."""
    reporter = features.session.reporter
    streams = {Stream(name) for name in features.session.experiment.run.streams}
    if not features.appearance_keys:
        streams -= {Stream.APPEARANCE, Stream.FUSION, Stream.ZERO_SHOT}
    if streams & {Stream.MOTION, Stream.FUSION}:
        readable = {part: features.clips(part, motion=True) for part in _PARTS}
        still = {clip.name for clips in readable.values() for clip in clips if features.store.empty(clip)}
        if still:
            result.notes.append(f"{len(still)} clips hold no motion at all (only I pictures)")
            reporter.warn(result.notes[-1])
        if len({clip.label for clip in readable["train"] if clip.name not in still}) < 2:
            result.notes.append(
                "motion and fusion are left out: no motion to train on in at least two classes"
            )
            reporter.warn(result.notes[-1])
            streams -= {Stream.MOTION, Stream.FUSION}
    if not streams:
        raise DataError(f"fold {result.fold}: no stream can be trained on these clips")
    if Stream.FUSION in streams:
        streams.add(Stream.MOTION_HEAD)
    controls = _appearance_controls(streams)
    if Stream.ZERO_SHOT in controls and not features.session.inputs.has_text:
        own, model = features.session.experiment.data.appearance, features.session.experiment.clip.model
        reason = f"{model} has no text encoder" if own is None else f"{own} holds no text embeddings"
        result.notes.append(f"zero-shot is left out: {reason}")
        controls -= {Stream.ZERO_SHOT}
    return streams | controls


def _feature_streams(session: Session, file: FeatureFile, result: FoldResult) -> set[Stream]:
    """The requested streams that a file of features allows, with their controls.

    The motion stream is its control head here: there is no motion network to test.

    Raises:
        DataError: none.
    """
    requested = {Stream(name) for name in session.experiment.run.streams}
    present = {Stream.MOTION: file.has_motion, Stream.APPEARANCE: file.has_appearance}
    for stream, there in present.items():
        if not there and requested & {stream, Stream.FUSION}:
            result.notes.append(f"fusion is left out: the file of features holds no features of {stream}")
            session.reporter.warn(result.notes[-1])
    if file.has_motion and file.origin is not None and file.origin.refitted:
        result.notes.append(REFITTED)
        session.reporter.warn(REFITTED)
    streams = set(requested)
    if not file.has_motion:
        streams -= {Stream.FUSION}
    elif requested & {Stream.MOTION, Stream.FUSION}:
        streams.add(Stream.MOTION_HEAD)
    streams.discard(Stream.MOTION)
    if not file.has_appearance:
        streams -= {Stream.APPEARANCE, Stream.FUSION, Stream.ZERO_SHOT}
    if not streams:
        held = " and ".join(stream for stream, there in present.items() if there)
        raise DataError(
            f"{session.experiment.data.root} holds features of {held}; run.streams asks for none of that"
        )
    controls = _appearance_controls(streams)
    return streams | (controls if file.classes is not None else controls - {Stream.ZERO_SHOT})


def _appearance_controls(streams: set[Stream]) -> set[Stream]:
    return {Stream.APPEARANCE_FRAME, Stream.ZERO_SHOT} if Stream.APPEARANCE in streams else set()


def _metrics(session: Session, results: list[FoldResult]) -> Metrics:
    """The metrics of a run, from those of its folds."""
    extraction = session.extraction
    streams, costs = join_scores(results, session.labels), dict(results[0].costs)
    looks = any(stream.sees_pictures for stream in streams)
    own = session.inputs.own_appearance
    if looks and session.feature_file is None and own is None:
        frame = Cost(**session.encoder.lazy.cost)
        costs = with_encoder(costs, frame, session.experiment.clip.frames)
    seconds = {"extract_motion": extraction.motion.seconds, "extract_clip": extraction.appearance.seconds}
    clip = session.experiment.clip
    weights = f"{clip.model}, " + ("RANDOM weights" if clip.random else clip.pretrained)
    if session.feature_file is not None:
        weights = f"features of {session.experiment.data.root}"
    elif extraction.unavailable or not looks:
        weights = "none"
    elif own is not None:
        weights = f"features of {own.path} ({own.model or 'backbone not named'})"
    return Metrics(
        streams,
        {str(stream): cost for stream, cost in costs.items()},
        seconds | sum_seconds(results),
        labels=session.labels,
        folds=tuple(fold.name for fold in session.folds),
        clips={part: sum(len(getattr(fold, part)) for fold in session.folds) for part in _PARTS},
        appearance_weights=weights,
        notes=tuple(sorted(extraction.notes.union(*(result.notes for result in results)))),
        choices=tuple(fit_notes(results)),
        failures=tuple(vars(failure) for failure in extraction.failures),
        fingerprint=session.fingerprint,
        resolved_fingerprint=session.resolved_fingerprint(),
    )
