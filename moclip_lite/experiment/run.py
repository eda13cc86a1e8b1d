"""An experiment from clips to metrics: what is finished already is skipped.

A finished run is recognised without torch, scikit-learn or matplotlib, whose imports take seconds:
:mod:`moclip_lite.experiment.train` is imported when there is work.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import yaml

from ..datasets.prompts import read_prompts
from ..errors import CheckpointError
from ..parallel.ranks import agree, share
from ..results.metrics import Metrics
from ..results.run_folder import RunFolder
from ..storage.cache_keys import stage_versions
from ..storage.digest import digest_bytes
from ..storage.files import read_json
from .extraction import Extraction, fill_cache
from .session import Session

__all__ = ["run_experiment"]

_CODE: Final = ("motion_tokens", "text", "trained", "results")
"""Code that makes a run from features; the keys of features tell the code that read them."""

_PLACES: Final = ("root", "splits_dir")
"""Settings of the data that say where it lies; what lies there is in the clips' names and keys."""


def run_experiment(session: Session) -> Metrics:
    """Run all stages that are not done yet and write the run folder.

    Returns:
        The content of metrics.json.

    Raises:
        CheckpointError: another run is at work in the run folder.
        MoclipError: the input can't be used; what was finished is kept.
    """
    if session.experiment.run.device not in ("auto", "cpu"):
        _ = session.device  # refuse one that is not there before hours of reading
    run = RunFolder(session.experiment.run.dir, [fold.name for fold in session.folds])
    with run.locked() if share().leads else nullcontext():
        extraction = fill_cache(session, run.ledger)
        fingerprint = _fingerprint(session, extraction)
        metrics = _finished(run, fingerprint)
        if agree([metrics is not None])[0]:
            run.ledger.clear()
            session.reporter.say(f"{run.path}: nothing to do, this experiment is finished")
            return metrics or Metrics({})
        if share().leads:
            changes = _changed_settings(session, run)
            if run.begin():
                session.reporter.say(
                    f"{run.path}: the results of an earlier run are removed ({changes or 'other clips or code'})"
                )
        from .train import train_folds

        return train_folds(session, run, extraction, fingerprint)


def _fingerprint(session: Session, extraction: Extraction) -> str:
    """Digest of all that decides a run: settings, divisions, keys of the features, and code."""
    experiment = session.saved_experiment
    prompts = read_prompts(experiment.clip.prompts)
    settings = _deciding(experiment.model_dump(mode="json"))
    if Path(experiment.clip.pretrained).is_file():
        settings["clip"].pop("pretrained")
    settings["clip"]["prompts"] = [prompts.templates, sorted(prompts.paraphrases.items())]
    rows = [[f.name, [[c.name for c in part] for part in (f.train, f.val, f.test)]] for f in session.folds]
    keys = [sorted(report.keys.items()) for report in (extraction.motion, extraction.appearance)]
    code = {stage: stage_versions(stage) for stage in _CODE}
    return digest_bytes([json.dumps([settings, rows, keys, code], sort_keys=True).encode()])


def _deciding(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that change results, section by section."""
    sections = {name: dict(section) for name, section in settings.items() if name != "cache"}
    sections["run"] = {name: sections["run"][name] for name in ("seed", "streams")}
    for name in _PLACES:
        sections["data"].pop(name, None)
    return sections


def _changed_settings(session: Session, run: RunFolder) -> str:
    """The settings in which a run folder's configuration differs from the present one, in words."""
    try:
        before = _deciding(yaml.safe_load(run.config.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError, KeyError, ValueError):
        return ""
    now = _deciding(session.saved_experiment.model_dump(mode="json"))
    changes = [
        f"{section}.{name} was {before[section][name]}, now {value}"
        for section, values in now.items()
        for name, value in values.items()
        if name in before.get(section, {}) and before[section][name] != value
    ]
    more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
    return "; ".join(changes[:3]) + more


def _finished(run: RunFolder, fingerprint: str) -> Metrics | None:
    """The metrics of a finished run of the same fingerprint."""
    try:
        metrics = Metrics.from_json(read_json(run.metrics))
    except (CheckpointError, TypeError, KeyError, ValueError, AttributeError):
        return None
    return metrics if metrics.fingerprint == fingerprint else None
