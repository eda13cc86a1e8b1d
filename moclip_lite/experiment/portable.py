"""The configuration of a run as it means the same on every machine."""

from __future__ import annotations

import re
from typing import Any

from .config import CacheSettings, Experiment, RunSettings

__all__ = ["portable"]


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
            "clip": clip.model_copy(
                update={"prompts": None, "pretrained": re.split(r"[/\\]", clip.pretrained)[-1] or "none"}
            ),
        }
    )


def _plain(pretrained: Any) -> bool:
    """Weights that a training started from are not needed any more."""
    return pretrained if isinstance(pretrained, bool) else False
