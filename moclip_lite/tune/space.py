"""Settings that a search chooses among."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from ..errors import ConfigError
from ..experiment.config import Experiment, load_experiment, with_absolute_paths
from ..storage.plain_yaml import parse_yaml

__all__ = ["DEFAULT_SPACE", "Space", "checked_space", "read_space", "value_of"]

Space = dict[str, list[Any]]
"""Configuration key -> values; the experiment's own value comes first."""

DEFAULT_SPACE: Final[Mapping[str, Sequence[Any]]] = {
    "motion.net": ["motion_small", "motion_shift"],
    "motion.frames": [5, 8, 16],
    "motion.stride": [1, 2],
    "motion.grid": [[12, 16], [18, 24], [24, 32]],
    "motion.field": ["raw", "compensated"],
    "motion.crop": ["none", "actor"],
    "motion.dropout": [0.2, 0.5],
    "train_motion.lr": [1e-3, 2e-3, 3e-3, 5e-3],
    "train_motion.weight_decay": [0.01, 0.05, 0.2],
    "train_motion.mixup": [0.0, 0.2],
}
"""What is searched by default: the window and its grid, the kind of field, and regularisation."""

_SECTIONS: Final = ("motion", "train_motion")


def read_space(words: Sequence[str]) -> Mapping[str, Sequence[Any]]:
    """The space of ``--search KEY=[VALUE, ...]``; the default one if there are none.

    Raises:
        ConfigError: not a key of the motion stream, or not a list.
    """
    space: Space = {}
    for word in words:
        key, equals, text = word.partition("=")
        key = key.strip()
        try:
            values = parse_yaml(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--search {key}: {text!r} is not YAML") from error
        if not equals or not isinstance(values, list) or not values:
            raise ConfigError(f"--search takes KEY=[VALUE, ...], such as motion.frames=[5,8], got {word!r}")
        if key.partition(".")[0] not in _SECTIONS:
            raise ConfigError(f"--search {key}: what can be searched begins with motion. or train_motion.")
        if key == "train_motion.refit":
            raise ConfigError(f"--search {key}: trials are validated, and train once on training clips alone")
        if key in space:
            raise ConfigError(f"--search {key} is given twice")
        space[key] = values
    return space or DEFAULT_SPACE


def value_of(experiment: Experiment, key: str) -> Any:
    """A value of a configuration, in plain values."""
    section, _, name = key.partition(".")
    return experiment.model_dump(mode="json")[section][name]


def checked_space(experiment: Experiment, space: Mapping[str, Sequence[Any]]) -> Space:
    """The space as the configuration reads its values, each once, the experiment's own first.

    Raises:
        ConfigError: an unknown key, or a value that is out of range.
    """
    checked: Space = {}
    for key, values in space.items():
        given = [load_experiment(None, [f"{key}={json.dumps(value)}"]) for value in values]
        read = [value_of(with_absolute_paths(each), key) for each in (experiment, *given)]
        unique = {json.dumps(value): value for value in read}
        checked[key] = list(unique.values())
    return checked
