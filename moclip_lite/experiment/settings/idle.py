"""Settings of an experiment that differ from their defaults although nothing in it looks at them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from mv_tools.urls import is_url

from ...appearance.settings import AppearanceSettings
from ...datasets import Fold, VideoDataset
from ...datasets.settings import DataSettings
from ...fusion import head_class
from ...fusion.settings import HeadTrainSettings
from ...motion.settings import MotionSettings, ViewSettings
from ...settings import Settings
from ...streams import Stream
from ...training.settings import TrainSettings
from ..config import Experiment

__all__ = ["idle_division", "idle_reasons", "idle_settings", "idle_splits"]

_WITH_ARRAYS: Final = ("normalize", "pooling", "prompts")  # of clip: done to features that are given, too
_OF_SOLVERS: Final = ("balance", "cross_fit", "refit")  # of train_head: also for heads without training steps


@dataclass(frozen=True)
class _Rule:
    """Settings without effect in some experiments.

    Attributes:
        section: of the configuration.
        names: of its fields.
        idle: whether an experiment has no use for them.
        reason: the rest of the sentence "clip.frames has no effect".
    """

    section: str
    names: Sequence[str]
    idle: Callable[[Experiment], bool]
    reason: str

    def found(self, experiment: Experiment, varied: Collection[str]) -> list[str]:
        """The settings that are given in vain: others than the defaults, and those that are varied."""
        if not self.idle(experiment):
            return []
        given = getattr(experiment, self.section)
        keys = {f"{self.section}.{name}": _changed(given, name) for name in self.names}
        return [key for key, changed in keys.items() if changed or key in varied]


def _changed(settings: Settings, name: str) -> bool:
    """Whether a setting differs from its default; max_steps lowers min_steps, which is then not given."""
    if (
        name == "min_steps"
        and isinstance(settings, TrainSettings)
        and settings.min_steps == settings.max_steps
    ):
        return False
    return bool(getattr(settings, name) != type(settings).model_fields[name].default)


def _fields(settings: type[Settings], *others: str) -> list[str]:
    return [name for name in settings.model_fields if name not in others]


def _has_features(experiment: Experiment) -> bool:
    return experiment.data.kind == "features"


def _has_appearance(experiment: Experiment) -> bool:
    return experiment.data.appearance is not None or experiment.data.kind in ("features", "shards")


def _knows_clips(experiment: Experiment) -> bool:
    data = experiment.data
    remote = data.kind == "folder" and data.root is not None and is_url(data.root)
    return remote or data.kind in ("synthetic", "features", "shards")


def _of_training(section: str) -> list[_Rule]:
    """Rules of a section that says how to train."""

    def settings(experiment: Experiment) -> TrainSettings:
        found: TrainSettings = getattr(experiment, section)
        return found

    def counts_epochs(experiment: Experiment) -> bool:
        return settings(experiment).epochs is not None

    cosine = f"with {section}.schedule=cosine"
    epochs = f"beside {section}.epochs, which says how long a training is; set that to null"
    return [
        _Rule(section, ["milestones"], lambda experiment: settings(experiment).schedule == "cosine", cosine),
        _Rule(section, ["max_steps", "min_steps"], counts_epochs, epochs),
    ]


_FILE: Final = "on features that are read from a file"
_ALL_WINDOWS: Final = "above motion.segments: a clip has no more windows, and each is taken once"
_RULES: Final = (
    _Rule(
        "data",
        ["clips_per_class", "frames"],
        lambda experiment: experiment.data.kind != "synthetic",
        "on clips that are there; data.kind=synthetic generates some",
    ),
    _Rule(
        "data",
        ["splits_dir"],
        lambda experiment: experiment.data.kind != "ucf101",
        "without data.kind=ucf101",
    ),
    _Rule(
        "data",
        ["buffer"],
        lambda experiment: experiment.data.kind not in ("features", "shards"),
        "on videos; it is for features and shards",
    ),
    _Rule("data", ["skip_missing"], _knows_clips, "on clips that are listed as they are found"),
    _Rule(
        "data",
        ["test_fraction"],
        lambda experiment: experiment.data.protocol != "holdout" or experiment.data.kind == "ucf101",
        "where lists or groups say what is tested",
    ),
    _Rule("run", ["seed"], lambda experiment: bool(experiment.run.seeds), "beside run.seeds"),
    _Rule("motion", ["backend"], lambda experiment: experiment.data.kind == "shards", _FILE),
    _Rule("clip", _fields(AppearanceSettings, *_WITH_ARRAYS), _has_appearance, _FILE),
    _Rule("motion", _fields(MotionSettings), _has_features, _FILE),
    _Rule("test", _fields(ViewSettings), _has_features, _FILE),
    _Rule("train_motion", _fields(TrainSettings), _has_features, _FILE),
    _Rule(
        "motion",
        ["train_segments"],
        lambda experiment: experiment.motion.train_segments > experiment.motion.segments,
        _ALL_WINDOWS,
    ),
    _Rule(
        "test",
        ["segments"],
        lambda experiment: experiment.test.segments > experiment.motion.segments,
        _ALL_WINDOWS,
    ),
    _Rule(
        "motion", ["crop_side"], lambda experiment: experiment.motion.crop == "none", "with motion.crop=none"
    ),
    _Rule(
        "motion",
        ["width"],
        lambda experiment: experiment.motion.net == "efficientnet_b0",
        "on efficientnet_b0, whose width is fixed",
    ),
    *_of_training("train_motion"),
    *_of_training("train_head"),
)


def idle_settings(*experiments: Experiment, varied: Collection[str] = ()) -> list[str]:
    """Sentences on changed settings that have no effect in any of the experiments, one for each reason.

    Args:
        experiments: one or several.
        varied: keys whose values differ among experiments, which are given also where they are the defaults.
    """
    names: dict[str, list[str]] = {}
    for name, reason in idle_reasons(*experiments, varied=varied).items():
        names.setdefault(reason, []).append(name)
    return [
        f"{', '.join(group)} {'has' if len(group) == 1 else 'have'} no effect {reason}"
        for reason, group in names.items()
    ]


def idle_reasons(*experiments: Experiment, varied: Collection[str] = ()) -> dict[str, str]:
    """Key -> why it has no effect in any of the experiments; see :func:`idle_settings`."""
    found = [_reasons(experiment, varied) for experiment in experiments]
    return {name: reason for name, reason in found[0].items() if all(name in other for other in found[1:])}


def idle_splits(experiment: Experiment, folds: Sequence[Fold]) -> list[str]:
    """A sentence on ``data.splits``, where it is changed and the folds of the experiment are no splits."""
    data = experiment.data
    if data.splits == DataSettings().splits or any(fold.division.startswith("split") for fold in folds):
        return []
    divided = data.protocol in ("kfold", "leave-one-group-out")
    reason = f"with data.protocol={data.protocol}" if divided else "on clips without official splits"
    return [f"data.splits has no effect {reason}"]


def idle_division(experiment: Experiment, dataset: VideoDataset) -> list[str]:
    """A sentence on settings of a holdout, where the data set says itself what is tested."""
    data = experiment.data
    if not dataset.official or data.protocol != "holdout" or data.kind in ("features", "ucf101"):
        return []
    complete = len(data.model_fields_set) == len(DataSettings.model_fields)  # of a run folder
    names = ["data.protocol=holdout"] if "protocol" in data.model_fields_set and not complete else []
    if data.test_fraction != DataSettings().test_fraction:
        names.append("data.test_fraction")
    if not names:
        return []
    has = "has" if len(names) == 1 else "have"
    reason = "on clips with official splits; data.protocol=kfold divides them anew"
    return [f"{' and '.join(names)} {has} no effect {reason}"]


def _reasons(experiment: Experiment, varied: Collection[str]) -> dict[str, str]:
    """Settings without effect, each with the first reason."""
    reasons: dict[str, str] = {}
    for rule in (*_RULES, *_of_solved_heads(experiment)):
        for name in rule.found(experiment, varied):
            reasons.setdefault(name, rule.reason)
    return reasons


def _of_solved_heads(experiment: Experiment) -> list[_Rule]:
    """Rules where all heads of the experiment have weights that a solver finds."""
    heads = {experiment.head_of(Stream(name)) for name in experiment.run.streams if Stream(name).sources}
    if not heads or not all(head_class(name).closed_form for name in heads):
        return []
    reason = (
        f"on {', '.join(sorted(heads))}, whose weights a solver finds, but on heads that are trained step "
        "by step, such as fusion.head=concat_mlp"
    )
    return [
        _Rule("train_head", _fields(HeadTrainSettings, *_OF_SOLVERS), lambda _: True, reason),
        _Rule("fusion", ["dropout", "hidden"], lambda _: True, reason),
    ]
