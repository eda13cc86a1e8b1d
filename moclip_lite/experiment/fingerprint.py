"""The fingerprint of a run: a digest of all that decides its results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ..datasets import Clip, Fold
from ..datasets.prompts import Prompts
from ..errors import ConfigError
from ..storage.cache_keys import stage_versions
from ..storage.digest import digest_bytes
from ..storage.plain_yaml import read_yaml
from .config import Experiment
from .extraction import Extraction

__all__ = ["changed_settings", "run_fingerprint"]

_CODE: Final = ("motion_tokens", "text", "trained", "results")
"""Code that makes a run from features; the keys of features tell the code that read them."""

_PLACES: Final = ("root", "table", "splits_dir", "appearance")
"""Settings of the data that say where it lies; what lies there is in the clips' names and keys."""

_MAX_CHANGES: Final = 3  # listed in a message


def run_fingerprint(
    experiment: Experiment, prompts: Prompts, folds: Sequence[Fold], extraction: Extraction
) -> str:
    """Digest of settings, divisions with labels and groups, keys of the features, and code.

    Args:
        experiment: as a run folder keeps it.
        prompts: sentences that stand for the class names.
        folds: the divisions.
        extraction: what was read of the clips.
    """
    settings = _deciding(experiment.model_dump(mode="json"))
    settings["motion"]["pretrained"] = experiment.motion.deciding()["pretrained"]
    if Path(experiment.clip.pretrained).is_file():
        settings["clip"].pop("pretrained")
    settings["clip"]["prompts"] = [prompts.templates, sorted(prompts.paraphrases.items())]
    rows = [[f.name, [list(map(_row, part)) for part in (f.train, f.val, f.test)]] for f in folds]
    keys = [sorted(report.keys.items()) for report in (extraction.motion, extraction.appearance)]
    code = {stage: stage_versions(stage) for stage in _CODE}
    return digest_bytes([json.dumps([settings, rows, keys, code], sort_keys=True).encode()])


def _row(clip: Clip) -> list[str | None]:
    """What the results of a clip depend on beside its features."""
    return [clip.name, clip.label, clip.group]


def changed_settings(config: Path, experiment: Experiment) -> str:
    """Settings in which a run folder's configuration differs from the present one; "" if none is known."""
    try:
        before = _deciding(read_yaml(config, "configuration", typed=True))
    except (OSError, ConfigError, AttributeError, TypeError, KeyError, ValueError):
        return ""
    changes = [
        f"{section}.{name} was {before[section][name]}, now {value}"
        for section, values in _deciding(experiment.model_dump(mode="json")).items()
        for name, value in values.items()
        if name in before.get(section, {}) and before[section][name] != value
    ]
    more = len(changes) - _MAX_CHANGES
    return "; ".join(changes[:_MAX_CHANGES]) + (f" and {more} more" if more > 0 else "")


def _deciding(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that change results, section by section."""
    sections = {name: dict(section) for name, section in settings.items() if name != "cache"}
    sections["run"] = {name: sections["run"].get(name) for name in ("seed", "seeds", "streams")}
    for name in _PLACES:
        sections["data"].pop(name, None)
    if sections["data"].get("buffer") is None:  # as before there were buffers
        sections["data"].pop("buffer", None)
    return sections
