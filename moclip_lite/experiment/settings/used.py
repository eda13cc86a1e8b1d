"""Settings that a trained run is used with, beside those that it was trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from ...errors import CheckpointError, ConfigError
from ...motion.settings import MotionSettings, MotionSpec
from ...results.fold_folder import FoldFolder
from ...results.run_folder import RunFolder
from ...storage.cache_keys import STAGES
from ...storage.files import read_description, read_json
from ...streams import ANSWERS, Stream
from ..config import Experiment, load_run_settings

__all__ = ["FEATURES", "Meaning", "check_used_settings", "features_of", "meaning_of", "refuse_other_fold"]

Meaning: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Section -> setting -> value."""

_SEGMENTS: Final = "segments"  # of motion: how many windows are seen, a choice of each test
_BACKEND: Final = "backend"  # all read the same vectors
_MEANING: Final[Mapping[str, Sequence[str]]] = {
    "motion": [name for name in MotionSpec.model_fields if name not in (_SEGMENTS, _BACKEND)],
    "clip": ["normalize", "pooling", "crop_borders"],
}
"""Section -> settings that decide what the numbers mean which the networks see."""

_TRAINING: Final[Mapping[str, Sequence[str]]] = {
    "motion": [name for name in MotionSettings.model_fields if name not in MotionSpec.model_fields],
    "train_motion": (),
    "train_head": (),
    "fusion": (),
}
"""Section -> settings of training alone; () for all of the section."""

FEATURES: Final = {"motion": "motion fields", "clip": "features of pictures"}
"""Stage of the cache -> what it is called."""

_OF_PREDICTION: Final = {"run": ("device", "seed", "threads"), "data": ("appearance",)}
"""Sections of which a prediction looks at these settings alone."""


def meaning_of(experiment: Experiment, stream: Stream) -> Meaning:
    """The settings that decide what the numbers mean which the weights of a stream see."""
    sections = [s for s, seen in (("motion", stream.sees_motion), ("clip", stream.sees_pictures)) if seen]
    values = experiment.model_dump(mode="json")
    return {section: {name: values[section][name] for name in _MEANING[section]} for section in sections}


def features_of(
    experiment: Experiment, stream: Stream, packed: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Stage of the cache -> version of the features of it which the weights of a stream are trained on.

    Args:
        experiment: the configuration.
        stream: whose weights.
        packed: stage -> version in the shards that are read in place of videos, as far as they tell it.
    """
    if experiment.data.kind == "features":  # computed elsewhere, as data.appearance is
        return {}
    pictures = stream.sees_pictures and experiment.data.appearance is None
    stages = [stage for stage, seen in (("motion", stream.sees_motion), ("clip", pictures)) if seen]
    versions = {stage: STAGES[stage].version for stage in stages} if packed is None else packed
    return {stage: versions[stage] for stage in stages if stage in versions}


def check_used_settings(config: Path, used: Experiment, *, predicts: bool) -> list[str]:
    """Compare the settings that weights are used with to those that they were trained with.

    Args:
        config: of the run folder.
        used: its configuration with changes.
        predicts: the clips are files that the run does not know.

    Returns:
        Sentences on changes, of settings or of this program, after which networks see other numbers than in
        training.

    Raises:
        ConfigError: a change that has no effect on weights that are trained.
        CheckpointError: the configuration of the run is not complete.
    """
    trained = load_run_settings(config).model_dump(mode="json")
    for section, values in _noted(config.parent).items():  # who has edited the configuration since
        trained[section] |= {name: values[name] for name in _MEANING[section] if name in values}
    now = used.model_dump(mode="json")
    changed = {
        (section, name): (trained[section][name], value)
        for section, values in now.items()
        for name, value in values.items()
        if trained[section][name] != value
    }
    sees_pictures = set(used.run.streams) != {"motion"}
    for section, name in changed:
        reason = _no_effect(section, name, sees_pictures, predicts)
        if reason:
            raise ConfigError(f"{section}.{name} has no effect on {config.parent}: {reason}")
    return _other_versions(config.parent, used) + [
        f"{section}.{name} is {after}, but the networks were trained with {before}: "
        "their answers may mean little"
        for (section, name), (before, after) in changed.items()
        if name in _MEANING.get(section, ())
    ]


def refuse_other_fold(folder: FoldFolder) -> None:
    """Refuse weights that were trained on the clips of another fold than the division beside them says.

    Raises:
        CheckpointError: there are such weights.
    """
    try:
        fold = read_json(folder.division)["fold"]
    except (CheckpointError, KeyError, TypeError):
        return  # which is said where it matters
    for stream in ANSWERS:
        trained = (read_description(folder.weights(stream)) or {}).get("fold")
        if trained and fold != trained and not str(fold).startswith(f"{trained}-seed"):
            raise CheckpointError(
                f"{folder.weights(stream)} was trained for the fold {trained}, and {folder.path} is of "
                f"{fold}, whose test clips it may have seen; put the fold's own file there, or train it again"
            )


def _noted(folder: Path) -> Meaning:
    """What weights say of the settings that they were trained with; earlier versions noted nothing."""
    noted: dict[str, dict[str, Any]] = {}
    for _, description in _descriptions(folder):
        settings = description.get("settings")
        for section, values in settings.items() if isinstance(settings, dict) else ():
            if section in _MEANING and isinstance(values, dict):
                noted.setdefault(section, {}).update(values)
    return noted


def _other_versions(folder: Path, used: Experiment) -> list[str]:
    """Sentences on weights trained on features of another version than are computed now.

    Nothing on weights that do not say it: those of earlier versions of this program and of other projects.
    """
    trained: dict[tuple[str, int], list[str]] = {}
    for path, description in _descriptions(folder):
        features = description.get("features")
        for stage, version in features.items() if isinstance(features, dict) else ():
            if stage in FEATURES and type(version) is int and version != STAGES[stage].version:
                trained.setdefault((stage, version), []).append(path.name)
    first = "pack again, and " if used.data.kind == "shards" else ""
    return [
        f"{', '.join(names)} of {folder}: trained on {FEATURES[stage]} of version {version}, and this "
        f"program computes version {STAGES[stage].version}: answers may differ from those in training; "
        f"{first}moclip run {folder} trains again"
        for (stage, version), names in trained.items()
    ]


def _descriptions(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Weights of a run folder, of its first fold where it holds several, with their descriptions."""
    places: list[FoldFolder] = [FoldFolder(folder), *RunFolder(folder).fold_folders()[:1]]
    paths = [place.weights(stream) for place in places for stream in ANSWERS]
    return [(path, read_description(path) or {}) for path in paths]


def _no_effect(section: str, name: str, sees_pictures: bool, predicts: bool) -> str:
    """Why a change has no effect; "" if it has one."""
    if section in _TRAINING and (not _TRAINING[section] or name in _TRAINING[section]):
        return "its weights are trained; train others with moclip run"
    if section == "clip" and not sees_pictures:
        return "its only stream is motion, which looks at no pictures"
    if predicts and name not in _OF_PREDICTION.get(section, (name,)):
        return "it is not a setting of prediction"
    return ""
