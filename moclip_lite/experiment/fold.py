"""The folds of an experiment: each one trained and tested, then all joined to metrics and a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from ..datasets import Clip, Fold
from ..datasets.clip_notes import notes_in_words, write_notes
from ..datasets.extraction import ExtractReport, write_failures
from ..errors import DataError
from ..motion.store import MotionStore
from ..parallel.ranks import share, wait_for_all
from ..results.run_folder import RunFolder
from ..results.trained_on import write_division
from ..results.write import (
    FoldResult,
    add_encoder_cost,
    join_folds,
    write_results,
)
from ..storage.files import write_json
from ..training.checkpoint import weights_digest
from ..training.costs import count_cost
from .config import save_experiment
from .feature_file import FeatureFile
from .heads import head_stage, zero_shot_stage
from .session import Workspace
from .stages import FoldInputs, motion_table, train_motion

__all__ = ["run_folds"]

_LOOKING: Final = ("appearance", "fusion", "appearance_frame", "zero_shot")
"""Streams that see pictures."""


def run_folds(
    space: Workspace,
    run: RunFolder,
    clips: Sequence[Clip],
    found: tuple[ExtractReport, ExtractReport, str | None],
    mark: str,
) -> dict[str, Any]:
    """Run every fold and write the run folder.

    Args:
        space: the experiment.
        run: its run folder; the caller holds it.
        clips: of all folds.
        found: motion, appearance, and why there is no appearance, as the cache was filled.
        mark: digest of all that decides the run, for metrics.json.

    Returns:
        The content of metrics.json.

    Raises:
        MoclipError: the input can't be used; what was finished is kept.
    """
    experiment, folder, folds = space.experiment, run.path, space.folds
    motion, appearance, unavailable = found
    leads = share().leads
    if leads:
        if run.begin():
            space.reporter.say(f"{folder}: the results of an earlier run are removed")
        _describe(space, folder)
        write_failures(folder / "failures.csv", motion.failures + appearance.failures)
        write_notes(folder / "notes.csv", motion.notes)
    results = []
    for fold in folds:
        inside = run.fold(fold.name)
        if len(folds) > 1:
            space.reporter.say(
                f"fold {fold.name}: {len(fold.train)} train, {len(fold.val)} validation, {len(fold.test)} test"
            )
            if leads:
                _describe(space, inside)
        if leads:
            write_division(run.division(fold.name), fold, space.dataset.root, space.content_digests)
        results.append(_run_fold(space, fold, run, motion.keys, appearance.keys))
    metrics = join_folds(results, clips, space.dataset.labels)
    metrics["seconds"] = {"extract_motion": motion.seconds, "extract_clip": appearance.seconds} | metrics[
        "seconds"
    ]
    if space.feature_file is None and any(s in metrics for s in _LOOKING):
        add_encoder_cost(metrics, space.lazy_encoder.cost, experiment.clip.frames)
    metrics |= {
        "labels": list(space.dataset.labels),
        "folds": [fold.name for fold in folds],
        "clips": {part: sum(len(getattr(f, part)) for f in folds) for part in ("train", "val", "test")},
        "appearance_weights": _weights_words(space, unavailable, metrics),
        "notes": sorted(
            {note for r in results for note in r.notes}
            | {*notes_in_words(motion.notes), *([unavailable] if unavailable else [])}
        ),
        "failures": [vars(f) for f in motion.failures + appearance.failures],
        "fingerprint": mark,
    }
    if leads:
        run.end()
        write_results(folder, metrics, results, clips, space.dataset.labels)
        run.ledger.clear()
    wait_for_all()
    return metrics


def _describe(space: Workspace, folder: Path) -> None:
    """What a folder with weights needs to be read again."""
    save_experiment(space.saved_experiment, folder / "config.yaml")
    write_json(folder / "labels.json", list(space.dataset.labels))


def _weights_words(space: Workspace, unavailable: str | None, metrics: dict[str, Any]) -> str:
    clip = space.experiment.clip
    if space.feature_file is not None:
        return f"features of {space.experiment.data.root}"
    if unavailable or not any(stream in metrics for stream in _LOOKING):
        return "none"
    return f"{clip.model}, " + ("RANDOM weights" if clip.random else clip.pretrained)


def _run_fold(
    space: Workspace, fold: Fold, run: RunFolder, motion_keys: dict[str, str], clip_keys: dict[str, str]
) -> FoldResult:
    """Train and test one fold."""
    experiment, folder = space.experiment, run.fold(fold.name)
    inputs = FoldInputs(fold, space.dataset.labels, motion_keys, clip_keys)
    if space.feature_file is not None:
        return _run_fold_of_features(space, space.feature_file, inputs, folder)
    store = MotionStore(space.cache, motion_keys, experiment.motion)
    out = FoldResult(fold.name, notes=list(fold.notes))
    streams = _possible_streams(space, inputs, store, out)
    features: dict[str, npt.NDArray[np.float32]] = {}
    if "motion" in streams or "fusion" in streams:
        features = _motion_stage(space, store, inputs, run, out, keep="motion" in experiment.run.streams)
    if "appearance" in streams or "fusion" in streams:
        head_stage(space, inputs, folder, out, features, streams)
    if "appearance" in streams or "zero_shot" in streams:
        zero_shot_stage(space, inputs, out)
    _keep_training(folder, out)
    return out


def _keep_training(folder: Path, out: FoldResult) -> None:
    if share().leads:
        write_json(folder / "training.json", out.training)


def _run_fold_of_features(
    space: Workspace, file: FeatureFile, inputs: FoldInputs, folder: Path
) -> FoldResult:
    """Train and test heads where there are features in place of videos; for motion that is the control head."""
    out = FoldResult(inputs.name)
    streams: set[str] = set(space.experiment.run.streams)
    here = {"motion": file.has_motion, "appearance": file.appearance is not None}
    for stream, present in here.items():
        if not present and streams & {stream, "fusion"}:
            out.notes.append(f"fusion is left out: the file of features holds no features of {stream}")
            space.reporter.warn(out.notes[-1])
    if not file.has_motion:
        streams -= {"motion", "fusion"}
    elif streams & {"motion", "fusion"}:
        streams.add("motion_head")
    if file.appearance is None:
        streams -= {"appearance", "fusion", "zero_shot"}
    networks = {} if file.origin is None else file.origin.networks
    inputs.motion_network = networks.get(inputs.name, file.digest)
    if share().leads:
        write_json(folder / "features.json", _features_words(space, file))
    if streams & {"appearance", "fusion", "motion_head"}:
        head_stage(space, inputs, folder, out, file.motion_of(inputs.name), streams)
    if "zero_shot" in streams or ("appearance" in streams and file.classes is not None):
        zero_shot_stage(space, inputs, out)
    if not out.scores:
        held = " and ".join(stream for stream, present in here.items() if present)
        raise DataError(
            f"{space.experiment.data.root} holds features of {held}; run.streams asks for none of that"
        )
    _keep_training(folder, out)
    return out


def _features_words(space: Workspace, file: FeatureFile) -> dict[str, str]:
    """Which file a run's heads were trained on, and the run that could read videos for them."""
    run = "" if file.origin is None else file.origin.folder
    return {"file": str(space.saved_experiment.data.root), "digest": file.digest, "run": run}


def _possible_streams(space: Workspace, inputs: FoldInputs, store: MotionStore, out: FoldResult) -> set[str]:
    """The streams asked for, less those that the clips don't allow; says why."""
    streams: set[str] = set(space.experiment.run.streams)
    if not inputs.clip:
        streams -= {"appearance", "fusion", "zero_shot"}
    if streams & {"motion", "fusion"}:
        train = inputs.part("train", motion=True, clip=False)
        moving = [c for c in train if not store.empty(c)]
        still = sum(
            store.empty(c)
            for part in ("train", "val", "test")
            for c in inputs.part(part, motion=True, clip=False)
        )
        if still:
            out.notes.append(f"{still} clips hold no motion at all (only I pictures)")
            space.reporter.warn(out.notes[-1])
        if len({c.label for c in moving}) < 2:
            out.notes.append("motion and fusion are left out: no motion to train on in at least two classes")
            space.reporter.warn(out.notes[-1])
            streams -= {"motion", "fusion"}
    if not streams:
        raise DataError(f"fold {out.fold}: no stream can be trained on these clips")
    return streams


def _motion_stage(
    space: Workspace, store: MotionStore, inputs: FoldInputs, run: RunFolder, out: FoldResult, *, keep: bool
) -> dict[str, npt.NDArray[np.float32]]:
    """Train the motion network and test it; returns features of all clips."""
    model, result = train_motion(space, store, inputs, run.fold(inputs.name))
    out.training["motion"] = vars(result)
    out.seconds["train_motion"] = result.seconds
    everything = [c for part in ("train", "val", "test") for c in inputs.part(part, motion=True, clip=False)]
    settings = {"fold": inputs.name, "weights": weights_digest(model), "test": space.experiment.test}
    with run.ledger.timing("motion_features", settings) as attempt:
        features, scores = motion_table(space, model, store, inputs, everything, attempt.tick)
        out.seconds["motion_features"] = attempt.seconds
    classes = len(inputs.labels)
    test = inputs.part("test", motion=True, clip=False)
    uniform = np.full(classes, 1 / classes, np.float32)  # a clip without motion is a guess
    if keep:
        out.scores["motion"] = ([c.name for c in test], np.stack([scores.get(c.name, uniform) for c in test]))
    t = space.experiment.test
    segments = t.segments or space.experiment.motion.segments
    one = torch.zeros(1, segments, *space.experiment.motion.shape[1:], device=space.device)
    out.costs["motion"] = count_cost(model, [one], repeats=t.crops * t.flips)
    return features
