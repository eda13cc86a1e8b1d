"""The configuration of a run as it means the same on every machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..config import CacheSettings, Experiment, RunSettings

__all__ = ["names_clips", "portable", "portable_sections"]


def portable(experiment: Experiment) -> Experiment:
    """The configuration without paths: data and results are left out, weights keep their file's name."""
    data, clip, motion = experiment.data, experiment.clip, experiment.motion
    return experiment.model_copy(
        update={
            "run": RunSettings(
                **{name: getattr(experiment.run, name) for name in ("seed", "seeds", "streams")}
            ),
            "cache": CacheSettings(),
            "data": data.model_copy(
                update={"root": None, "table": None, "splits_dir": None, "appearance": None}
            ),
            "motion": motion.model_copy(update={"pretrained": _plain(motion.pretrained)}),
            "clip": clip.model_copy(update={"prompts": None, "pretrained": _file_name(clip.pretrained)}),
        }
    )


def names_clips(experiment: Experiment) -> bool:
    """Whether a configuration says where its clips lie; one that is :func:`portable` does not."""
    return experiment.data.root is not None or experiment.data.table is not None


def portable_sections(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Sections of a configuration as JSON holds them, without the paths that :func:`portable` leaves out.

    Raises:
        AttributeError, TypeError: these are no sections.
    """
    sections = {name: dict(values) for name, values in settings.items()}
    if "pretrained" in sections.get("motion", {}):
        sections["motion"]["pretrained"] = _plain(sections["motion"]["pretrained"])
    if "pretrained" in sections.get("clip", {}):
        clip = sections["clip"]
        clip |= {"prompts": None, "pretrained": _file_name(str(clip["pretrained"]))}
    return sections


def _file_name(pretrained: str) -> str:
    return re.split(r"[/\\]", pretrained)[-1] or "none"


def _plain(pretrained: Any) -> bool:
    """Weights that a training started from are not needed any more."""
    return pretrained if isinstance(pretrained, bool) else False
