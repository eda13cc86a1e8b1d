"""An experiment from clips to metrics: what there is, what is done already, and the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from ..datasets import Clip, Fold
from ..datasets.extraction import ExtractReport
from ..datasets.prompts import read_prompts
from ..errors import CheckpointError, WeightsUnavailable
from ..parallel.ranks import agree, share
from ..results.run_folder import RunFolder, SecondsLedger
from ..storage.cache_keys import stage_versions
from ..storage.digest import digest_bytes
from ..storage.files import read_json
from .config import Experiment
from .session import Workspace, no_tick

__all__ = ["fill_cache", "run_experiment"]


_STAGES: Final = ("motion_tokens", "text", "trained", "results")
"""What makes a run of features; the keys of these tell the code that read them."""


def run_experiment(space: Workspace) -> dict[str, Any]:
    """Run all stages that are not done yet and write the run folder.

    Returns:
        The content of metrics.json.

    Raises:
        CheckpointError: another run is at work in the run folder.
        MoclipError: the input can't be used; what was finished is kept.
    """
    if space.experiment.run.device not in ("auto", "cpu"):
        _ = space.device  # refuse one that is not there before hours of reading
    experiment, folds = space.experiment, space.folds
    folder = RunFolder(experiment.run.dir, [fold.name for fold in folds])
    with folder.locked() if share().leads else nullcontext():
        found = fill_cache(space, folder.ledger)
        mark = _fingerprint(space.saved_experiment, folds, *found[:2])
        done = _finished(folder.path, mark)
        if agree([done is not None])[0]:
            folder.ledger.clear()
            space.reporter.say(f"{folder.path}: nothing to do, this experiment is finished")
            return done or {}
        from .fold import run_folds

        return run_folds(space, folder, _unique(folds), found, mark)


def fill_cache(
    space: Workspace, ledger: SecondsLedger | None = None
) -> tuple[ExtractReport, ExtractReport, str | None]:
    """Read what the streams need from the clips; all that a run needs before it trains.

    Args:
        space: the experiment.
        ledger: of the run whose time is counted; the reports hold the seconds of all its attempts.

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
        motion = _timed("extract_motion", space, space.extract_motion, clips, ledger)
    return motion, *_appearance(space, clips, ledger)


def _timed(
    stage: str,
    space: Workspace,
    extract: Callable[[Sequence[Clip], Callable[[], None]], ExtractReport],
    clips: Sequence[Clip],
    ledger: SecondsLedger | None,
) -> ExtractReport:
    """Extract, and add up the attempts."""
    if ledger is None:
        return extract(clips, no_tick)
    experiment = space.saved_experiment
    section = experiment.motion.key_settings() if stage == "extract_motion" else experiment.clip
    settings = {"data": experiment.data, "section": section}
    with ledger.timing(stage, settings) as attempt:
        report = extract(clips, attempt.tick)
        report.seconds = attempt.seconds
    return report


def _unique(folds: Sequence[Fold]) -> list[Clip]:
    found: dict[str, Clip] = {}
    for fold in folds:
        found |= {clip.name: clip for clip in fold.clips()}
    return [found[name] for name in sorted(found)]


def _wants(experiment: Experiment, *streams: str) -> bool:
    return any(stream in experiment.run.streams for stream in streams)


def _appearance(
    space: Workspace, clips: Sequence[Clip], ledger: SecondsLedger | None
) -> tuple[ExtractReport, str | None]:
    """Features, or why there are none: without weights the motion stream still runs."""
    if not _wants(space.experiment, "appearance", "fusion", "zero_shot"):
        return ExtractReport("clip"), None
    try:
        return _timed("extract_clip", space, space.extract_appearance, clips, ledger), None
    except WeightsUnavailable as error:
        if not _wants(space.experiment, "motion"):
            raise
        reason = f"appearance and fusion are left out: {error}"
        space.reporter.warn(reason)
        return ExtractReport("clip"), reason


def _fingerprint(experiment: Experiment, folds: Sequence[Fold], *reports: ExtractReport) -> str:
    settings = experiment.model_dump(mode="json", exclude={"cache"})
    settings["run"] = {"seed": experiment.run.seed, "streams": list(experiment.run.streams)}
    for place in ("root", "splits_dir"):  # what lies there is in the rows and keys
        settings["data"].pop(place)
    if Path(experiment.clip.pretrained).is_file():
        settings["clip"].pop("pretrained")
    prompts = read_prompts(experiment.clip.prompts)
    settings["clip"]["prompts"] = [prompts.templates, sorted(prompts.paraphrases.items())]
    rows = [[f.name, [[c.name for c in part] for part in (f.train, f.val, f.test)]] for f in folds]
    keys = [sorted(report.keys.items()) for report in reports]
    code = {stage: stage_versions(stage) for stage in _STAGES}
    return digest_bytes([json.dumps([settings, rows, keys, code], sort_keys=True).encode()])


def _finished(folder: Path, mark: str) -> dict[str, Any] | None:
    try:
        metrics = read_json(folder / "metrics.json")
    except CheckpointError:
        return None
    if not isinstance(metrics, dict) or metrics.get("fingerprint") != mark:
        return None
    return metrics
