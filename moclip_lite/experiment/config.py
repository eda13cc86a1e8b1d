"""The configuration of an experiment: YAML in, checked values out.

Precedence: defaults, then the YAML file, then ``--set a.b=c``. Unknown keys are refused with the
nearest valid name. A value is text until its field reads it: ``data.root=007`` is a folder, ``run.seed=007``
is 7, and ``run.seed=on`` is refused. ``~`` in a path is the home folder.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from mv_tools.urls import is_url

from ..appearance.settings import AppearanceSettings
from ..datasets.settings import DataSettings
from ..errors import CheckpointError, ConfigError
from ..fusion.registry import BESIDE
from ..fusion.settings import FusionSettings, HeadTrainSettings
from ..motion.settings import MotionSettings, ViewSettings
from ..parallel.runner import RunnerName
from ..settings import CREDENTIALS, Settings, UrlPath, refuse_repeats
from ..storage.plain_yaml import NULLS, parse_yaml, read_yaml
from ..streams import Stream
from ..training.settings import TrainSettings

__all__ = ["Experiment", "RunSettings", "key_of", "load_experiment", "with_absolute_paths"]

_RENAMED: Final = {f"train_{part}.clip": f"train_{part}.max_grad_norm" for part in ("motion", "head")}
"""Keys of earlier versions that no spelling leads to -> what they are called now."""

StreamName: TypeAlias = Literal["motion", "appearance", "fusion", "zero_shot"]
"""The streams to ask for; the other controls come with them."""


CONFIG_SUFFIXES: Final = (".yaml", ".yml")
"""Endings of configurations."""


class RunSettings(Settings):
    """Where and how to run."""

    dir: UrlPath = Field(Path("runs/experiment"), description="folder for results")
    seed: int = Field(0, ge=0, lt=2**32, description="of splits, weights and training")
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(
        (), max_length=100, description="repeat everything with each of these; results are pooled"
    )
    workers: int = Field(0, ge=0, le=1024, description="processes for extraction; 0 for one per core")
    engine: RunnerName = Field(
        "local",
        description="who extracts, prepares and runs grids: local processes, or ray, a cluster's nodes",
    )
    ray_address: str | None = Field(
        None, description="HOST:PORT of the cluster's head; default: $RAY_ADDRESS, or this machine's cluster"
    )
    threads: int = Field(
        0, ge=0, le=1024, description="of PyTorch's operations in one process; 0 for one per core"
    )
    loaders: int = Field(
        0, ge=0, le=1024, description="processes that read training batches ahead; 0 for none"
    )
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|mps|cuda(:\d{1,3})?)$", description="auto, cpu, cuda or mps"
    )
    onnx: bool = Field(
        True, description="write ONNX files of the networks at the end of a run: predict starts in a second"
    )
    streams: tuple[StreamName, ...] = Field(
        ("motion", "appearance", "fusion"), min_length=1, description="what to test"
    )

    _streams_once = field_validator("streams", "seeds")(refuse_repeats)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds to run with."""
        return self.seeds or (self.seed,)


class CacheSettings(Settings):
    """Where features are kept."""

    dir: UrlPath | None = Field(None, description="default: $MOCLIP_CACHE or the user's cache folder")


_WRITTEN: Final = (
    *("run", "data", "cache", "motion", "clip", "fusion"),
    *("train_motion", "train_head", "test"),
)
"""Sections that every version has written into run folders, in their order."""

_LAST: Final = "flips"
"""The last line of what is written."""


class Experiment(Settings):
    """Everything that decides a run."""

    run: RunSettings = RunSettings()
    data: DataSettings = DataSettings()
    cache: CacheSettings = CacheSettings()
    motion: MotionSettings = MotionSettings()
    clip: AppearanceSettings = AppearanceSettings()
    fusion: FusionSettings = FusionSettings()
    train_motion: TrainSettings = TrainSettings()
    train_head: HeadTrainSettings = HeadTrainSettings()
    test: ViewSettings = ViewSettings()

    @model_validator(mode="before")
    @classmethod
    def _empty_sections(cls, value: Any) -> Any:
        """A section whose lines are all commented out is an empty one."""
        if not isinstance(value, dict):
            return value
        return {key: {} if item is None and key in cls.model_fields else item for key, item in value.items()}

    def to_yaml(self) -> str:
        """The resolved configuration as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def without_flips(self) -> Experiment:
        """The same, but no clip is mirrored in training or testing."""
        motion = self.motion.model_copy(update={"flip": 0.0})
        return self.model_copy(update={"motion": motion, "test": self.test.model_copy(update={"flips": 1})})

    @property
    def views(self) -> int:
        """Windows of motion that the network sees of a tested clip."""
        return len(self.test.chosen(self.motion.segments)) * self.test.crops * self.test.flips

    def head_of(self, stream: Stream) -> str:
        """Name of the head of a stream: a setting for the fusion; some have controls of their kind."""
        if stream.head is None:
            return self.fusion.head
        return BESIDE.get(self.fusion.head, {}).get(stream.head, stream.head)


def load_experiment(path: Path | None = None, overrides: Sequence[str] = ()) -> Experiment:
    """Read a YAML file and apply overrides.

    Args:
        path: of the YAML file; None for the defaults.
        overrides: "section.key=value", the value in YAML.

    Raises:
        ConfigError: missing or malformed file, unknown key, or a value out of range.
    """
    return _experiment({} if path is None else _read_yaml(path), overrides)


def load_run_settings(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read the configuration of a run folder, which is complete: no default takes the place of a lost line.

    Args:
        path: its ``config.yaml``.
        overrides: as for :func:`load_experiment`.

    Raises:
        CheckpointError: it was cut short or emptied.
        ConfigError: see :func:`load_experiment`.
    """
    values = _read_yaml(path)
    whole = all(isinstance(values.get(section), dict) for section in _WRITTEN)
    if not whole or _LAST not in values[_WRITTEN[-1]]:
        raise CheckpointError(
            f"{path} is not the complete configuration that a run writes, without which its weights can't be "
            "used as they were trained; take it from a copy of the run, or train again"
        )
    return _experiment(values, overrides)


def _experiment(values: dict[str, Any], overrides: Sequence[str]) -> Experiment:
    """The configuration of the content of a file, with overrides.

    Raises:
        ConfigError: an unknown key, or a value out of range.
    """
    for override in overrides:
        _apply(values, override)
    try:
        return Experiment.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from error


def _find_prompts(values: dict[str, Any], folder: Path) -> None:
    """A prompt file that a configuration names is looked for beside the configuration first."""
    clip = values.get("clip")
    if isinstance(clip, dict) and isinstance(clip.get("prompts"), str):
        beside = folder / clip["prompts"]
        if beside.is_file():
            clip["prompts"] = str(beside)


def with_absolute_paths(experiment: Experiment) -> Experiment:
    """The same configuration with paths that mean the same in every working directory."""
    data, clip, motion = experiment.data, experiment.clip, experiment.motion
    weights = Path(clip.pretrained).expanduser()
    return experiment.model_copy(
        update={
            "run": experiment.run.model_copy(update={"dir": _absolute(experiment.run.dir)}),
            "data": data.model_copy(
                update={
                    name: _absolute(getattr(data, name))
                    for name in ("root", "table", "splits_dir", "appearance")
                }
            ),
            "motion": experiment.motion.model_copy(update={"pretrained": _absolute(motion.pretrained)}),
            "cache": experiment.cache.model_copy(update={"dir": _absolute(experiment.cache.dir)}),
            "clip": clip.model_copy(
                update={
                    "prompts": _absolute(clip.prompts),
                    "pretrained": str(weights.absolute()) if weights.is_file() else clip.pretrained,
                }
            ),
        }
    )


_Other = TypeVar("_Other", bool, None)


def _absolute(path: Path | _Other) -> Path | _Other:
    """A path in full; a URL and anything else as it is."""
    if isinstance(path, Path) and is_url(path):
        return path
    return path.expanduser().absolute() if isinstance(path, Path) else path


def _read_yaml(path: Path) -> dict[str, Any]:
    value = read_yaml(path, "configuration")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected sections such as 'data:' and 'motion:'")
    _find_prompts(value, path.parent)
    return value


def key_of(override: str) -> str:
    """The key of "section.key=value"."""
    return override.partition("=")[0].strip()


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set takes section.key=value, got {override!r}")
    try:
        value = _text(text) if _takes_text(parts) else parse_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {key}: the value {text!r} is not YAML") from error
    place = values
    for part in parts[:-1]:
        if place.get(part) is None:
            place[part] = {}
        place = place[part]
        if not isinstance(place, dict):
            raise ConfigError(f"--set {key}: {part} is a value, not a section")
    place[parts[-1]] = value


def _text(text: str) -> str | None:
    """A word of a command line that stands for text; quotes around it are taken off."""
    text = text.strip()
    if text in NULLS:
        return None
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        return str(parse_yaml(text))
    return text


def _takes_text(parts: Sequence[str]) -> bool:
    """Whether a key's field holds text, a path or one of several words."""
    if len(parts) != 2 or parts[0] not in Experiment.model_fields:
        return False
    section = Experiment.model_fields[parts[0]].annotation
    assert isinstance(section, type)
    assert issubclass(section, BaseModel)
    field = section.model_fields.get(parts[1])
    return field is not None and _is_text(field.annotation)


def _is_text(kind: Any) -> bool:
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        # A path beside true and false is written as text too; the field knows the words for these.
        return all(_is_text(part) for part in inside if part not in (type(None), bool)) and inside != (bool,)
    if origin is Annotated:
        return _is_text(inside[0])
    if origin is Literal:
        return all(isinstance(value, str) for value in inside)
    return isinstance(kind, type) and issubclass(kind, (str, Path))


def _explain(error: ValidationError) -> str:
    errors = error.errors()
    first = next((row for row in errors if row["type"] == CREDENTIALS), errors[0])
    if first["type"] == "bool_parsing":  # of a path beside true and false, the path's own problem
        alike = [row for row in errors if row["loc"][:2] == first["loc"][:2] and row["type"] == "value_error"]
        first = next(iter(alike), first)
    place = [str(part) for part in first["loc"] if "[" not in str(part)]
    key = ".".join(place)
    if first["type"] == "extra_forbidden":
        near = _RENAMED.get(key) or difflib.get_close_matches(key, _all_keys(), n=1, cutoff=0.0)[0]
        return f"unknown configuration key {key!r}; the nearest valid name is {near!r}"
    if first["type"] == CREDENTIALS:  # not repeated
        return f"{key}: {first['msg']}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    message = first["msg"].removeprefix("Value error, ")
    whole = isinstance(first["input"], Mapping)  # a section: its own sentence names the settings
    got = "" if whole else f", got {first['input']!r}"
    return f"{key}: {message[0].lower()}{message[1:]}{got}{more}"


def _all_keys() -> list[str]:
    keys = []
    for section, info in Experiment.model_fields.items():
        keys.append(section)
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += [f"{section}.{name}" for name in kind.model_fields]
    return keys
