"""Settings of an experiment that nothing in it looks at."""

from __future__ import annotations

from typing import Final

from ..fusion import head_class
from ..fusion.settings import FusionSettings, HeadTrainSettings
from ..streams import Stream
from .config import Experiment

__all__ = ["idle_settings"]

_OF_SOLVERS: Final = ("balance", "cross_fit", "refit")  # what heads without gradient descent look at
_OF_NETWORKS: Final = ("dropout", "hidden")


def idle_settings(experiment: Experiment) -> str:
    """A sentence on changed settings of heads whose weights a solver finds; empty if there are none."""
    heads = {experiment.head_of(Stream(name)) for name in experiment.run.streams if Stream(name).sources}
    if not heads or not all(head_class(name).closed_form for name in heads):
        return ""
    given, size = experiment.train_head, experiment.fusion
    usual, usual_size = HeadTrainSettings(), FusionSettings()
    fields = [name for name in HeadTrainSettings.model_fields if name not in _OF_SOLVERS]
    idle = [f"train_head.{name}" for name in fields if getattr(given, name) != getattr(usual, name)]
    idle += [f"fusion.{name}" for name in _OF_NETWORKS if getattr(size, name) != getattr(usual_size, name)]
    if not idle:
        return ""
    verb, pronoun = ("has", "it is") if len(idle) == 1 else ("have", "they are")
    return (
        f"{', '.join(idle)} {verb} no effect on {', '.join(sorted(heads))}, whose weights a solver finds; "
        f"{pronoun} for heads that are trained step by step, such as fusion.head=concat_mlp"
    )
