"""An experiment from clips to metrics: what there is, what is done already, and the rest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .config import Experiment
from .datasets import Clip, Fold
from .digest import digest_bytes
from .distributed import agree
from .errors import CheckpointError, WeightsUnavailable
from .extract import ExtractReport
from .storage import read_json
from .workspace import Workspace

__all__ = ["fill_cache", "run_experiment"]


def run_experiment(space: Workspace) -> dict[str, Any]:
    """Run all stages that are not done yet and write the run folder.

    Returns:
        The content of metrics.json.

    Raises:
        MoclipError: the input can't be used; what was finished is kept.
    """
    experiment, folder = space.experiment, space.experiment.run.dir
    if experiment.run.device not in ("auto", "cpu"):
        _ = space.device  # refuse one that is not there before hours of reading
    folds = space.folds
    clips = _unique(folds)
    found = fill_cache(space)
    mark = _fingerprint(experiment, folds, *found[:2])
    done = _finished(folder, mark)
    if agree([done is not None])[0]:
        space.reporter.say(f"{folder}: nothing to do, this experiment is finished")
        return done or {}
    from .folds import run_folds  # torch and what draws: seconds to import, and not for a finished run

    return run_folds(space, clips, found, mark)


def fill_cache(space: Workspace) -> tuple[ExtractReport, ExtractReport, str | None]:
    """Read what the streams need from the clips; all that a run needs before it trains.

    Returns:
        What was found of motion and of appearance, and why there is no appearance if there is none.

    Raises:
        MoclipError: the clips or the model can't be used.
    """
    clips = _unique(space.folds)
    motion = ExtractReport("motion")
    if space.feature_file is not None:
        keys = dict.fromkeys((clip.name for clip in clips), space.feature_file.digest)
        return ExtractReport("motion", keys=keys), ExtractReport("clip", keys=keys), None
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
