"""The configuration of an experiment: YAML in, checked values out.

Precedence: defaults, then the YAML file, then ``--set a.b=c``. Unknown keys are refused with the
nearest valid name. A value is text until its field reads it: ``data.root=007`` is a folder, ``run.seed=007``
is 7, and ``run.seed=on`` is refused. ``~`` in a path is the home folder.
"""

from __future__ import annotations

import difflib
import os
import types
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from ..errors import ConfigError
from ..fusion import check_head
from ..motion.read import Crop as MotionCrop
from ..motion.read import Field as MotionField
from ..motion.read import MotionSpec
from ..sampling import Positions
from ..storage.files import write_text
from ..storage.plain_yaml import NULLS, parse_yaml, read_yaml

if TYPE_CHECKING:
    from ..training.loop import TrainSettings

__all__ = [
    "VIDEO_MODELS",
    "ClipConfig",
    "DataConfig",
    "Experiment",
    "FusionConfig",
    "MotionConfig",
    "RunConfig",
    "TestConfig",
    "load_experiment",
    "save_experiment",
    "with_absolute_paths",
]

Stream = Literal["motion", "appearance", "fusion", "zero_shot"]


def _at_home(path: Path) -> Path:
    """A path with the home folder in place of ``~``."""
    if "\0" in str(path):
        raise ValueError("a path holds no zero byte")
    return Path(os.path.expanduser(path))


def _not_empty(value: Any) -> Any:
    if isinstance(value, str) and not value.strip():
        raise ValueError("a path must not be empty")
    return value


UserPath: TypeAlias = Annotated[Path, BeforeValidator(_not_empty), AfterValidator(_at_home)]
"""A path as people write it."""


def _each_once(value: tuple[Any, ...]) -> tuple[Any, ...]:
    twice = [str(item) for place, item in enumerate(value) if item in value[:place]]
    if twice:
        raise ValueError(f"{twice[0]} is given twice")
    return value


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


class RunConfig(_Section):
    """Where and how to run."""

    dir: UserPath = Field(Path("runs/experiment"), description="folder for results")
    seed: int = Field(0, ge=0, lt=2**32, description="of splits, weights and training")
    workers: int = Field(0, ge=0, description="processes for extraction; 0 for one per core")
    threads: int = Field(0, ge=0, description="of PyTorch's operations in one process; 0 for one per core")
    loaders: int = Field(0, ge=0, description="processes that read training batches ahead; 0 for none")
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|mps|cuda(:\d{1,3})?)$", description="auto, cpu, cuda or mps"
    )
    streams: tuple[Stream, ...] = Field(
        ("motion", "appearance", "fusion"), min_length=1, description="what to test"
    )

    _streams_once = field_validator("streams")(_each_once)


class DataConfig(_Section):
    """Which clips, and how they are divided."""

    kind: Literal["folder", "ucf101", "synthetic", "features"] = Field(
        "folder", description="layout of the data"
    )
    root: UserPath | None = Field(None, description="folder of the clips, or a file of features")
    recipe: str | None = Field(None, description="sub-folder of root: one encoding of several")
    group_pattern: str | None = Field(None, description="regular expression with one group, on file names")
    protocol: Literal["holdout", "leave-one-group-out", "official"] = Field(
        "holdout", description="how test is set apart"
    )
    test_fraction: float = Field(0.25, gt=0, lt=1, description="share of clips for test (holdout)")
    val_fraction: float = Field(0.2, gt=0, lt=1, description="share of train for validation")
    train_per_class: int | None = Field(
        None, ge=1, description="at most so many clips of a class to train on, and to validate on"
    )
    splits_dir: UserPath | None = Field(
        None, description="folder of UCF101's lists; none for a prepared folder"
    )
    splits: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1,), min_length=1, description="official splits to run"
    )
    shared_groups: bool = Field(False, description="go on where train, validation and test share groups")
    skip_missing: bool = Field(False, description="go on without absent clips and empty classes")
    clips_per_class: int = Field(20, ge=4, description="synthetic: clips to generate per class")
    frames: int = Field(24, ge=2, description="synthetic: frames per clip")

    _splits_once = field_validator("splits")(_each_once)


class CacheConfig(_Section):
    """Where features are kept."""

    dir: UserPath | None = Field(None, description="default: $MOCLIP_CACHE or the user's cache folder")


class MotionConfig(_Section):
    """Motion stream: what is read, and the network on it."""

    backend: str = Field("auto", description="of mv_tools: auto, native, libav, mvextractor")
    field: MotionField = Field("raw", description="raw, compensated or accumulated")
    segments: int = Field(16, ge=1, le=512, description="windows kept per clip")
    frames: int = Field(5, ge=1, le=64, description="consecutive fields in a window")
    grid: tuple[int, int] = Field((24, 32), description="rows, columns of the field")
    normalize_distance: bool = Field(True, description="divide vectors by the reference's distance")
    crop: MotionCrop = Field("none", description="actor for a box that follows the motion (still cameras)")
    crop_side: float = Field(0.75, ge=0.2, le=2, description="height of that box, share of the short side")
    net: str = Field(
        "motion_small", description="motion_small, motion_shift, motion_fields or efficientnet_b0"
    )
    width: int = Field(24, ge=4, le=256, description="channels of the first stage (not efficientnet_b0)")
    dropout: float = Field(0.5, ge=0, lt=1, description="before the classifier")
    pretrained: bool = Field(False, description="efficientnet_b0: start from ImageNet")
    pretrain_epochs: int = Field(0, ge=0, description="of masked motion, on the training clips; 0 for none")
    train_segments: int = Field(4, ge=1, description="windows drawn per clip and step in training")
    min_side: float = Field(0.75, gt=0, le=1, description="smallest random crop, share of the side")
    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip")
    speed: float = Field(1.2, ge=1, description="motion is scaled by 1/speed to speed")

    @field_validator("grid")
    @classmethod
    def _grid(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not all(4 <= side <= 512 for side in value):
            raise ValueError("rows and columns must be from 4 to 512")
        return value

    def spec(self) -> MotionSpec:
        """The part that decides what is read from a clip."""
        names = ("backend", "field", "segments", "frames", "grid", "normalize_distance", "crop", "crop_side")
        return MotionSpec(**{name: getattr(self, name) for name in names})


VIDEO_MODELS: Final = "mobileviclip-"
"""What the names of models that see a clip's frames together begin with."""


class ClipConfig(_Section):
    """Appearance stream: the frozen CLIP. For mobileviclip-tiny and -small other defaults hold: the weights
    "datacompdr" and 8 frames at uniform positions."""

    model: str = Field("ViT-B-32", description="open_clip model, mobileviclip-tiny or mobileviclip-small")
    pretrained: str = Field("openai", description="tag, path of a checkpoint, or none for random weights")
    weights_of: str | None = Field(
        None, description="the tag that a checkpoint file is of: its activation and preprocessing"
    )
    frames: int = Field(4, ge=1, le=256, description="frames per clip")
    positions: Positions = Field("reachable", description="which frames: reachable, uniform or keyframes")
    normalize: bool = Field(True, description="L2-normalise features")
    prompts: UserPath | None = Field(None, description="YAML of templates and paraphrases (zero-shot)")

    @field_validator("pretrained")
    @classmethod
    def _pretrained(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("expected a tag, a path, or 'none' for random weights")
        return os.path.expanduser(value)

    @property
    def random(self) -> bool:
        """Whether random weights are asked for."""
        return self.pretrained == "none"

    @model_validator(mode="before")
    @classmethod
    def _video_defaults(cls, value: Any) -> Any:
        if isinstance(value, dict) and str(value.get("model", "")).startswith(VIDEO_MODELS):
            return {"pretrained": "datacompdr", "frames": 8, **value}
        return value


class FusionConfig(_Section):
    """The head on both features."""

    head: str = Field("concat_mlp", description="a name of moclip_lite.fusion.list_heads()")
    hidden: int = Field(512, ge=1, description="width of the hidden layer")
    dropout: float = Field(0.5, ge=0, lt=1, description="before the classifier")
    standardize: bool = Field(True, description="scale features by statistics of the training clips")

    @field_validator("head")
    @classmethod
    def _head(cls, value: str) -> str:
        return check_head(value)


class TrainConfig(_Section):
    """One training. See moclip_lite.training.loop.TrainSettings."""

    epochs: int = Field(60, ge=1)
    batch: int = Field(16, ge=2)
    lr: float = Field(3e-3, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    warmup: float = Field(0.1, ge=0, le=1)
    optimizer: Literal["adamw", "adam"] = Field("adamw")
    eps: float = Field(1e-8, gt=0)
    schedule: Literal["cosine", "steps"] = Field("cosine")
    milestones: tuple[Annotated[int, Field(ge=0)], ...] = Field(())
    lr_scales: dict[str, Annotated[float, Field(ge=0)]] = Field({})
    clip: float = Field(5.0, gt=0)
    patience: int = Field(0, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    mixup: float = Field(0.0, ge=0)

    def settings(self) -> TrainSettings:
        """As the training loop takes it."""
        from ..training.loop import TrainSettings

        return TrainSettings(**self.model_dump())


class HeadTrainConfig(TrainConfig):
    """Training of heads on cached features."""

    epochs: int = Field(60, ge=1)
    batch: int = Field(64, ge=2)
    lr: float = Field(1e-3, gt=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)


def _whole(value: Any) -> Any:
    """Literals compare, they don't convert: a number that is still text is read first."""
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else value


_Count135: TypeAlias = Annotated[Literal[1, 3, 5], BeforeValidator(_whole)]
_Count12: TypeAlias = Annotated[Literal[1, 2], BeforeValidator(_whole)]


class TestConfig(_Section):
    """Views per clip in testing: segments x crops x flips."""

    __test__ = False  # not a pytest class

    segments: int = Field(0, ge=0, description="windows; 0 for all that are kept")
    crops: _Count135 = Field(3, description="1 whole frame, 3 with left and right, 5 corners and centre")
    flips: _Count12 = Field(2, description="2 adds the mirrored view")


class Experiment(_Section):
    """Everything that decides a run."""

    run: RunConfig = RunConfig()
    data: DataConfig = DataConfig()
    cache: CacheConfig = CacheConfig()
    motion: MotionConfig = MotionConfig()
    clip: ClipConfig = ClipConfig()
    fusion: FusionConfig = FusionConfig()
    train_motion: TrainConfig = TrainConfig()
    train_head: HeadTrainConfig = HeadTrainConfig()
    test: TestConfig = TestConfig()

    @model_validator(mode="before")
    @classmethod
    def _empty_sections(cls, value: Any) -> Any:
        """A section whose lines are all commented out is an empty one."""
        if not isinstance(value, dict):
            return value
        return {key: {} if item is None and key in cls.model_fields else item for key, item in value.items()}


def load_experiment(path: Path | None = None, overrides: Sequence[str] = ()) -> Experiment:
    """Read a YAML file and apply overrides.

    Args:
        path: of the YAML file; None for the defaults.
        overrides: "section.key=value", the value in YAML.

    Raises:
        ConfigError: missing or malformed file, unknown key, or a value out of range.
    """
    values: dict[str, Any] = {}
    if path is not None:
        values = _read_yaml(path)
        _find_prompts(values, path.parent)
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
    data, clip = experiment.data, experiment.clip
    weights = Path(clip.pretrained).expanduser()
    return experiment.model_copy(
        update={
            "run": experiment.run.model_copy(update={"dir": _absolute(experiment.run.dir)}),
            "data": data.model_copy(
                update={"root": _absolute(data.root), "splits_dir": _absolute(data.splits_dir)}
            ),
            "cache": experiment.cache.model_copy(update={"dir": _absolute(experiment.cache.dir)}),
            "clip": clip.model_copy(
                update={
                    "prompts": _absolute(clip.prompts),
                    "pretrained": str(weights.absolute()) if weights.is_file() else clip.pretrained,
                }
            ),
        }
    )


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.expanduser().absolute()


def save_experiment(experiment: Experiment, path: Path) -> None:
    """Write the resolved configuration as YAML."""
    write_text(path, yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False))


def _read_yaml(path: Path) -> dict[str, Any]:
    value = read_yaml(path, "configuration")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected sections such as 'data:' and 'motion:'")
    return value


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
        return all(_is_text(part) for part in inside if part is not type(None))
    if origin is Annotated:
        return _is_text(inside[0])
    if origin is Literal:
        return all(isinstance(value, str) for value in inside)
    return isinstance(kind, type) and issubclass(kind, (str, Path))


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    key = ".".join(place)
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, _all_keys(), n=1, cutoff=0.0)
        return f"unknown configuration key {key!r}; the nearest valid name is {near[0]!r}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}: {message[0].lower()}{message[1:]}, got {first['input']!r}{more}"


def _all_keys() -> list[str]:
    keys = []
    for section, info in Experiment.model_fields.items():
        keys.append(section)
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += [f"{section}.{name}" for name in kind.model_fields]
    return keys
