"""Activation and preprocessing that CLIP weights were trained with.

open_clip stores them with each pretrained tag. A checkpoint file does not contain them, and a wrong choice
raises no error: the features are only worse. So the configuration of a file is taken from a reliable source
(its header, the tag that the user names, its digest, the publisher's JSON file beside it). Without one, and
if the model's tags differ, the user must name the tag.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open

from ..errors import CheckpointError, ConfigError, unknown_name
from ..storage.digest import digest_bytes

__all__ = [
    "BESIDE_TIMM",
    "HEADER",
    "TIMM_FILES",
    "FileWeights",
    "WeightsConfig",
    "description_digest",
    "header_of",
    "open_clip",
    "resolve_file",
    "sha256_of",
    "tag_config",
]

HEADER: Final = "moclip.clip"
"""Key in a safetensors header where ``moclip convert`` writes model, tag and configuration (JSON)."""

BESIDE_TIMM: Final = "config.json"
"""File that timm's repositories put beside :data:`TIMM_FILES`."""

TIMM_FILES: Final = ("model.safetensors", "pytorch_model.bin")

_SIBLING: Final = "open_clip_config.json"
# open_clip's names of weights that the JSON file beside them describes (open_clip.factory).
_PUBLISHED: Final = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
)
_IMAGE_KEYS: Final = ("mean", "std", "interpolation", "resize_mode")


def open_clip() -> Any:
    """The library; importing it takes seconds."""
    import open_clip

    return open_clip


@dataclass(frozen=True, kw_only=True)
class WeightsConfig:
    """Configuration of weights, which decides the features besides the architecture.

    Attributes:
        quick_gelu: x * sigmoid(1.702 x) instead of GELU.
        mean, std: per colour channel, for pictures in 0..1.
        interpolation: method of resizing, such as "bicubic".
        resize_mode: "shortest" (resize the short side and crop), "longest" (pad) or "squash".
    """

    quick_gelu: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    resize_mode: str

    def describe(self) -> dict[str, Any]:
        """Plain values, for keys and headers."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]

    @classmethod
    def from_description(cls, values: Mapping[str, Any]) -> WeightsConfig:
        """The inverse of :meth:`describe`.

        Raises:
            CheckpointError: a value is missing or of another type.
        """
        try:
            mean, std = (tuple(float(number) for number in values[name]) for name in ("mean", "std"))
            names = {name: values[name] for name in ("interpolation", "resize_mode")}
            if len(mean) != 3 or len(std) != 3 or not all(isinstance(name, str) for name in names.values()):
                raise TypeError("mean and std are three numbers, interpolation and resize_mode are names")
            return cls(quick_gelu=bool(values["quick_gelu"]), mean=mean, std=std, **names)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the configuration of these weights can't be used: {error}") from error

    def summary(self) -> str:
        """In words: "QuickGELU, mean 0.48 0.46 0.41, std 0.27 0.26 0.28, bicubic, shortest"."""
        mean, std = (" ".join(f"{number:.2f}" for number in numbers) for numbers in (self.mean, self.std))
        activation = "QuickGELU" if self.quick_gelu else "GELU"
        return f"{activation}, mean {mean}, std {std}, {self.interpolation}, {self.resize_mode}"

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of ``open_clip.create_model_and_transforms``."""
        return {
            "force_quick_gelu": self.quick_gelu,
            "image_mean": self.mean,
            "image_std": self.std,
            "image_interpolation": self.interpolation,
            "image_resize_mode": self.resize_mode,
        }


@dataclass(frozen=True, kw_only=True)
class FileWeights:
    """Configuration of a checkpoint file.

    Attributes:
        config: activation and preprocessing.
        known_by: source of the configuration, in words.
        trusted: whether the whole SHA-256 proves it to be the file that OpenAI published, a TorchScript
            archive, which holds more than tensors.
    """

    config: WeightsConfig
    known_by: str
    trusted: bool = False


def tag_config(model: str, tag: str) -> WeightsConfig:
    """The configuration of one of open_clip's pretrained tags.

    Raises:
        ConfigError: the model has no such tag.
    """
    values = open_clip().get_pretrained_cfg(model, tag)
    if not values:
        tags = open_clip().list_pretrained_tags_by_model(model)
        if not tags:
            raise ConfigError(f"clip.weights_of: {model} has no pretrained tags, got {tag!r}")
        raise ConfigError(unknown_name("clip.weights_of", tag, tags))
    return _complete(model, values)


def _complete(model: str, values: Mapping[str, Any]) -> WeightsConfig:
    """Fill absent values with open_clip's defaults; an architecture with QuickGELU keeps it."""
    from open_clip.transform import PreprocessCfg

    image = {name: getattr(PreprocessCfg(), name) for name in _IMAGE_KEYS}
    image |= {name: values[name] for name in _IMAGE_KEYS if values.get(name) is not None}
    quick_gelu = open_clip().get_model_config(model).get("quick_gelu") or values.get("quick_gelu", False)
    return WeightsConfig.from_description({**image, "quick_gelu": quick_gelu})


def header_of(model: str, tag: str, config: WeightsConfig) -> dict[str, str]:
    """Metadata for a safetensors file, read by :func:`resolve_file`."""
    return {HEADER: json.dumps({"model": model, "weights_of": tag, "config": config.describe()})}


def description_digest(path: Path) -> str:
    """Digest of the JSON file beside a checkpoint that describes it; "" if there is none."""
    name = _SIBLING if path.name in _PUBLISHED else BESIDE_TIMM if path.name in TIMM_FILES else None
    file = path.parent / str(name)
    return digest_bytes([file.read_bytes()]) if name is not None and file.is_file() else ""


def resolve_file(model: str, path: Path, weights_of: str | None = None) -> FileWeights:
    """Find the configuration of the weights in a file.

    Sources, in this order: the header that ``moclip convert`` wrote; the tag that the user names; the SHA-256
    published with the model's tags; open_clip's JSON file beside the weights; the model's tags, if all of
    them agree; for a model without tags open_clip's defaults.

    Args:
        model: open_clip's name of the architecture.
        path: of the checkpoint.
        weights_of: a tag of the model.

    Raises:
        ConfigError: an unknown tag, or none is named and the model's tags differ.
        CheckpointError: the file belongs to another model or tag.
    """
    named = tag_config(model, weights_of) if weights_of is not None else None
    header = _header(model, path)
    published, trusted = _published(model, path)
    for known in (header, published):
        if known is not None and named is not None and known.config != named:
            raise CheckpointError(
                f"{path} is not of {weights_of}: {known.known_by} says {known.config.summary()}, "
                f"clip.weights_of={weights_of} says {named.summary()}; leave clip.weights_of out"
            )
    if header is not None:
        return header
    if named is not None:
        return FileWeights(config=named, known_by=f"clip.weights_of={weights_of}", trusted=trusted)
    return published or _sibling(model, path) or _agreed(model, path)


def _header(model: str, path: Path) -> FileWeights | None:
    """Configuration that ``moclip convert`` wrote into the file."""
    if path.suffix.lower() != ".safetensors":
        return None
    try:
        with safe_open(str(path), framework="numpy") as file:
            text = (file.metadata() or {}).get(HEADER)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error
    if text is None:
        return None
    try:
        values = json.loads(text)
        name, config = str(values["model"]), dict(values["config"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: its description of the weights can't be read") from error
    if name != model:
        raise CheckpointError(f"{path} holds {name}, asked for is {model} (clip.model)")
    return FileWeights(config=WeightsConfig.from_description(config), known_by="the file's header")


def _published(model: str, path: Path) -> tuple[FileWeights | None, bool]:
    """Configuration of the tag whose published digest matches, and whether that is a complete SHA-256."""
    digests = {tag: _published_digest(model, tag) for tag in open_clip().list_pretrained_tags_by_model(model)}
    digests = {tag: digest for tag, digest in digests.items() if digest}
    if not digests or path.suffix.lower() == ".safetensors":  # those published by digest are all .pt or .pth
        return None, False
    file_digest = sha256_of(path)
    for tag, digest in digests.items():
        if file_digest.startswith(digest):
            trusted = len(digest) == len(file_digest)
            weights = FileWeights(
                config=tag_config(model, tag), known_by=f"its digest ({tag})", trusted=trusted
            )
            return weights, trusted
    return None, False


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex digits."""
    state = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            state.update(chunk)
    return state.hexdigest()


def _published_digest(model: str, tag: str) -> str:
    """SHA-256 in a tag's URL, or its first digits; "" if there is none (open_clip.pretrained)."""
    url = str(open_clip().get_pretrained_url(model, tag))
    if "openaipublic" in url:
        return url.split("/")[-2]
    return Path(url).stem.split("-")[-1] if "mlfoundations" in url else ""


def _sibling(model: str, path: Path) -> FileWeights | None:
    """Configuration in open_clip's JSON file, which repositories of its weights contain."""
    file = path.parent / _SIBLING
    if path.name not in _PUBLISHED or not file.is_file():
        return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        quick_gelu = bool(values["model_cfg"].get("quick_gelu", False))
        config = _complete(model, {**values.get("preprocess_cfg", {}), "quick_gelu": quick_gelu})
    except (OSError, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} can't be read as a description of {path.name}") from error
    if config.quick_gelu != quick_gelu:
        raise CheckpointError(f"{file} says GELU and {model} has QuickGELU; choose another clip.model")
    return FileWeights(config=config, known_by=str(file))


def _agreed(model: str, path: Path) -> FileWeights:
    """The configuration that all tags of a model share."""
    configs: dict[WeightsConfig, list[str]] = {}
    for tag in open_clip().list_pretrained_tags_by_model(model):
        configs.setdefault(tag_config(model, tag), []).append(tag)
    if not configs:
        return FileWeights(config=_complete(model, {}), known_by=f"open_clip's defaults for {model}")
    if len(configs) > 1:
        listed = "; ".join(f"{', '.join(tags)} ({config.summary()})" for config, tags in configs.items())
        raise ConfigError(
            f"{path} does not say how it was trained, and the weights of {model} differ in that; name the "
            f"tag that it is of (or was trained like) with --weights-of TAG (clip.weights_of): {listed}"
        )
    (config,) = configs
    return FileWeights(config=config, known_by=f"all tags of {model}")
