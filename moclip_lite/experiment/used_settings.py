"""Settings that a trained run is used with, beside those that it was trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ..errors import ConfigError
from ..motion.settings import MotionSettings, MotionSpec
from .config import Experiment, load_run_settings

__all__ = ["check_used_settings"]

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

_OF_PREDICTION: Final = {"run": ("device", "seed", "threads"), "data": ("appearance",)}
"""Sections of which a prediction looks at these settings alone."""


def check_used_settings(config: Path, used: Experiment, *, predicts: bool) -> list[str]:
    """Compare the settings that weights are used with to those that they were trained with.

    Args:
        config: of the run folder.
        used: its configuration with changes.
        predicts: the clips are files that the run does not know.

    Returns:
        Sentences on changes after which networks see numbers of another meaning than in training.

    Raises:
        ConfigError: a change that has no effect on weights that are trained.
        CheckpointError: the configuration of the run is not complete.
    """
    trained = load_run_settings(config).model_dump(mode="json")
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
    return [
        f"{section}.{name} is {after}, but the networks were trained with {before}: "
        "their answers may mean little"
        for (section, name), (before, after) in changed.items()
        if name in _MEANING.get(section, ())
    ]


def _no_effect(section: str, name: str, sees_pictures: bool, predicts: bool) -> str:
    """Why a change has no effect; "" if it has one."""
    if section in _TRAINING and (not _TRAINING[section] or name in _TRAINING[section]):
        return "its weights are trained; train others with moclip run"
    if section == "clip" and not sees_pictures:
        return "its only stream is motion, which looks at no pictures"
    if predicts and name not in _OF_PREDICTION.get(section, (name,)):
        return "it is not a setting of prediction"
    return ""
