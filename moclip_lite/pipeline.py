"""An experiment from clips to metrics: extract, train, test once, report."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from .config import Experiment, save_experiment
from .costs import count_cost
from .datasets import Clip, Fold
from .digest import digest_bytes
from .errors import CheckpointError, DataError, WeightsUnavailable
from .extract import ExtractReport, write_failures
from .features import FeatureTable, MotionStore, head_scores
from .results import FoldResult, add_encoder_cost, join_folds, write_results
from .stages import FoldInputs, appearance_features, motion_table, train_head, train_motion
from .storage import read_json, write_json
from .text import zero_shot_scores
from .workspace import Workspace

__all__ = ["HEADS", "fill_cache", "head_tables", "run_experiment", "run_folder_of"]

HEADS = {
    "appearance": "appearance_only",
    "appearance_frame": "appearance_one_frame",
    "motion_head": "motion_only",
}
"""Controls trained beside the fusion head: run-folder name -> head."""


def run_experiment(space: Workspace) -> dict[str, Any]:
    """Run all stages that are not done yet and write the run folder.

    Returns:
        The content of metrics.json.

    Raises:
        MoclipError: the input can't be used; what was finished is kept.
    """
    experiment, folder = space.experiment, space.experiment.run.dir
    folds = space.folds
    clips = _unique(folds)
    motion, appearance, unavailable = fill_cache(space)
    mark = _fingerprint(experiment, folds, motion, appearance)
    done = _finished(folder, mark)
    if done is not None:
        space.reporter.say(f"{folder}: nothing to do, this experiment is finished")
        return done
    save_experiment(experiment, folder / "config.yaml")
    write_json(folder / "labels.json", list(space.dataset.labels))
    write_failures(folder / "failures.csv", motion.failures + appearance.failures)
    results = []
    for fold in folds:
        inside = run_folder_of(folder, folds, fold)
        if len(folds) > 1:
            space.reporter.say(
                f"fold {fold.name}: {len(fold.train)} train, {len(fold.val)} validation, {len(fold.test)} test"
            )
            save_experiment(experiment, inside / "config.yaml")
            write_json(inside / "labels.json", list(space.dataset.labels))
        results.append(_run_fold(space, fold, inside, motion.keys, appearance.keys))
    metrics = join_folds(results, clips, space.dataset.labels)
    metrics["seconds"] = {"extract_motion": motion.seconds, "extract_clip": appearance.seconds} | metrics[
        "seconds"
    ]
    if metrics.get("appearance") or metrics.get("fusion"):
        add_encoder_cost(metrics, space.lazy_encoder.cost, experiment.clip.frames)
    metrics |= {
        "labels": list(space.dataset.labels),
        "folds": [fold.name for fold in folds],
        "clips": {part: sum(len(getattr(f, part)) for f in folds) for part in ("train", "val", "test")},
        "appearance_weights": _weights_words(space, unavailable),
        "notes": sorted(
            {note for r in results for note in r.notes} | ({unavailable} if unavailable else set())
        ),
        "failures": [vars(f) for f in motion.failures + appearance.failures],
        "fingerprint": mark,
    }
    write_results(folder, metrics, results, clips, space.dataset.labels)
    return metrics


def fill_cache(space: Workspace) -> tuple[ExtractReport, ExtractReport, str | None]:
    """Read what the streams need from the clips; all that a run needs before it trains.

    Returns:
        What was found of motion and of appearance, and why there is no appearance if there is none.

    Raises:
        MoclipError: the clips or the model can't be used.
    """
    clips = _unique(space.folds)
    motion = ExtractReport("motion")
    if _wants(space.experiment, "motion", "fusion"):
        motion = space.extract_motion(clips)
    return motion, *_appearance(space, clips)


def _unique(folds: Sequence[Fold]) -> list[Clip]:
    found: dict[str, Clip] = {}
    for fold in folds:
        found |= {clip.name: clip for clip in fold.clips()}
    return [found[name] for name in sorted(found)]


def _wants(experiment: Experiment, *streams: str) -> bool:
    return any(stream in experiment.run.streams for stream in streams)


def _appearance(space: Workspace, clips: Sequence[Clip]) -> tuple[ExtractReport, str | None]:
    """Features, or why there are none: without weights the motion stream still runs."""
    if not _wants(space.experiment, "appearance", "fusion", "zero_shot"):
        return ExtractReport("clip"), None
    try:
        return space.extract_appearance(clips), None
    except WeightsUnavailable as error:
        if not _wants(space.experiment, "motion"):
            raise
        reason = f"appearance and fusion are left out: {error}"
        space.reporter.warn(reason)
        return ExtractReport("clip"), reason


def _weights_words(space: Workspace, unavailable: str | None) -> str:
    spec = space.appearance_spec
    if unavailable:
        return "none"
    return f"{spec.model}, " + ("RANDOM weights" if spec.pretrained == "none" else spec.pretrained)


def run_folder_of(folder: Path, folds: Sequence[Fold], fold: Fold) -> Path:
    """Where a fold's weights lie: the run folder itself, or a folder below it if there are several."""
    if len(folds) == 1:
        return folder
    return folder / "folds" / ("".join(c if c.isalnum() or c in "-_" else "_" for c in fold.name) or "_")


def _fingerprint(experiment: Experiment, folds: Sequence[Fold], *reports: ExtractReport) -> str:
    settings = experiment.model_dump(mode="json", exclude={"cache"})
    settings["run"] = {"seed": experiment.run.seed, "streams": list(experiment.run.streams)}
    settings["data"].pop("root")
    rows = [[f.name, [[c.name for c in part] for part in (f.train, f.val, f.test)]] for f in folds]
    keys = [sorted(report.keys.items()) for report in reports]
    return digest_bytes([json.dumps([settings, rows, keys], sort_keys=True).encode()])


def _finished(folder: Path, mark: str) -> dict[str, Any] | None:
    try:
        metrics = read_json(folder / "metrics.json")
    except CheckpointError:
        return None
    if not isinstance(metrics, dict) or metrics.get("fingerprint") != mark:
        return None
    return metrics


def _run_fold(
    space: Workspace, fold: Fold, folder: Path, motion_keys: dict[str, str], clip_keys: dict[str, str]
) -> FoldResult:
    """Train and test one fold."""
    experiment = space.experiment
    inputs = FoldInputs(fold, space.dataset.labels, motion_keys, clip_keys)
    store = MotionStore(space.cache, motion_keys, experiment.motion.spec())
    out = FoldResult(fold.name, notes=list(fold.notes))
    streams = _possible_streams(space, inputs, store, out)
    features: dict[str, npt.NDArray[np.float32]] = {}
    if "motion" in streams or "fusion" in streams:
        features = _motion_stage(space, store, inputs, folder, out, keep="motion" in experiment.run.streams)
    if "appearance" in streams or "fusion" in streams:
        _head_stage(space, inputs, folder, out, features, streams)
    if "appearance" in streams or "zero_shot" in streams:
        _zero_shot_stage(space, inputs, out)
    write_json(folder / "training.json", out.training)
    return out


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
    space: Workspace, store: MotionStore, inputs: FoldInputs, folder: Path, out: FoldResult, *, keep: bool
) -> dict[str, npt.NDArray[np.float32]]:
    """Train the motion network and test it; returns features of all clips."""
    model, result = train_motion(space, store, inputs, folder)
    out.training["motion"] = vars(result)
    out.seconds["train_motion"] = result.seconds
    started = time.perf_counter()
    everything = [c for part in ("train", "val", "test") for c in inputs.part(part, motion=True, clip=False)]
    features, scores = motion_table(space, model, store, inputs, everything)
    out.seconds["motion_features"] = time.perf_counter() - started
    classes = len(inputs.labels)
    test = inputs.part("test", motion=True, clip=False)
    uniform = np.full(classes, 1 / classes, np.float32)  # a clip without motion is a guess
    if keep:
        out.scores["motion"] = ([c.name for c in test], np.stack([scores.get(c.name, uniform) for c in test]))
    t = space.experiment.test
    segments = t.segments or space.experiment.motion.segments
    one = torch.zeros(1, segments, *space.experiment.motion.spec().shape[1:], device=space.device)
    out.costs["motion"] = count_cost(model, [one], repeats=t.crops * t.flips)
    return features


def _head_stage(
    space: Workspace,
    inputs: FoldInputs,
    folder: Path,
    out: FoldResult,
    features: dict[str, npt.NDArray[np.float32]],
    streams: set[str],
) -> None:
    """Train and test the heads: appearance, and where there is motion the fusion and its control."""
    spec = space.appearance_spec
    encoder = {"model": spec.model, "pretrained": spec.pretrained, "digest": space.lazy_encoder.digest}
    write_json(folder / "encoder.json", encoder)  # a head is of use with these weights only
    fused = "fusion" in streams
    parts = {name: inputs.part(name, motion=fused, clip=True) for name in ("train", "val", "test")}
    tables = head_tables(space, inputs, parts, features)
    heads: dict[str, str] = {}
    if "appearance" in streams:
        heads = {stage: HEADS[stage] for stage in ("appearance", "appearance_frame")}
    if fused:
        heads |= {"fusion": space.experiment.fusion.head, "motion_head": HEADS["motion_head"]}
    for stage, name in heads.items():
        head, result = train_head(space, name, stage, tables, inputs, folder)
        out.training[stage] = vars(result)
        out.seconds[f"train_{stage}"] = result.seconds
        out.scores[stage] = ([c.name for c in parts["test"]], head_scores(head, tables["test"]))
        one = [tables["test"].motion[:1].to(space.device), tables["test"].appearance[:1].to(space.device)]
        out.costs[stage] = count_cost(head, one)


def _zero_shot_stage(space: Workspace, inputs: FoldInputs, out: FoldResult) -> None:
    """Test the class names alone; nothing is trained."""
    test = inputs.part("test", motion=False, clip=True)
    if not test:
        raise DataError("no clip of the test part could be read")
    scores = zero_shot_scores(appearance_features(space, inputs, test), space.class_vectors)
    out.scores["zero_shot"] = ([c.name for c in test], scores)
    out.costs["zero_shot"] = {"parameters": 0, "trainable": 0, "gflops": 0.0, "latency_ms": 0.0}


def head_tables(
    space: Workspace,
    inputs: FoldInputs,
    parts: dict[str, list[Clip]],
    features: dict[str, npt.NDArray[np.float32]],
) -> dict[str, FeatureTable]:
    """Features of the clips of each part; `parts` must hold "train".

    Raises:
        DataError: a part has no clip.
    """
    for name, clips in parts.items():
        if not clips:
            raise DataError(f"no clip of the {name} part could be read")
    known = [features[c.name] for c in parts["train"] if c.name in features]
    absent: npt.NDArray[np.float32] = np.mean(known, axis=0) if known else np.zeros(1, np.float32)
    number = {label: i for i, label in enumerate(inputs.labels)}
    return {
        name: FeatureTable(
            torch.from_numpy(np.stack([features.get(c.name, absent) for c in clips]).astype(np.float32)),
            torch.from_numpy(appearance_features(space, inputs, clips)),
            torch.tensor([number[c.label] for c in clips]),
        )
        for name, clips in parts.items()
    }
