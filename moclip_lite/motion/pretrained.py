"""Weights of a file for a motion network (``motion.pretrained=PATH``).

Two kinds of files are known: a motion network of this program, such as ``motion.safetensors`` of a run, whose
classifier is left out; and, for ``efficientnet_b0``, an image network of ImageNet in timm's layout, whose
stem is adapted to two channels as timm adapts those that it downloads.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor, nn

from ..errors import CheckpointError, ConfigError
from ..storage.files import read_description
from ..storage.plain_yaml import read_yaml
from ..training.foreign import find_prefix, load_strictly, read_checkpoint
from .settings import MotionSpec

__all__ = ["is_generated", "load_pretrained", "other_reading"]

_CLASSIFIER: Final = "classifier."
_STEM: Final = "conv_stem.weight"
_CONFIG: Final = "config.yaml"  # beside the weights of a run
_COMPARED: Final = ("field", "frames", "stride", "grid", "normalize_distance", "crop", "crop_side")
_RATE: Final = re.compile(r"_fps(\d{1,6})(?![^_])", re.ASCII)


def load_pretrained(network: nn.Module, name: str, path: Path) -> None:
    """Load a file into a motion network, strictly, but for its classifier.

    Args:
        network: of random weights.
        name: ``motion.net``.
        path: of the checkpoint.

    Raises:
        CheckpointError: the file can't be read, or does not fit; missing and unexpected tensors are named.
    """
    state, _ = read_checkpoint(path, "motion.pretrained")
    wanted = {key: value for key, value in network.state_dict().items() if not key.startswith(_CLASSIFIER)}
    inside = _inside(path, state, wanted)
    if name == "efficientnet_b0" and not any(key.startswith("encoder.") for key in inside):
        encoder: Any = network.get_submodule("encoder.net")
        _load_image_network(encoder, path, state)
        return
    classifier = {key: value for key, value in network.state_dict().items() if key.startswith(_CLASSIFIER)}
    held = {key: value for key, value in inside.items() if not key.startswith(_CLASSIFIER)}
    load_strictly(path, f"motion.net={name}", network, {**held, **classifier})


def is_generated(path: Path) -> bool:
    """Whether the weights of a file were trained on generated motion, and on no clip."""
    return "pretraining" in (read_description(path) or {})


def other_reading(path: Path, spec: MotionSpec, recipe: str | None = None) -> str | None:
    """What is read otherwise than where a file's weights were trained: they fit, but mean something else.

    A file of ``moclip pretrain`` says what it was trained on, beside that of a run lies the configuration.
    Other files say nothing, and nothing is said of them.

    Args:
        path: of the checkpoint.
        spec: how motion is read now.
        recipe: ``data.recipe``, which may change the frame rate.

    Returns:
        A sentence; None where nothing is known to differ.
    """
    trained, trained_recipe = _trained_on(path)
    now = spec.reading()
    different = [
        f"motion.{name}={_shown(trained[name])} (here {_shown(now[name])})"
        for name in _COMPARED
        if name in trained
        and _shown(trained[name]) != _shown(now[name])
        and not (name == "crop_side" and now["crop"] == "none")
    ]
    if trained_recipe is not None and _rate(trained_recipe) != _rate(recipe or ""):
        different.append(
            f"pictures a second by data.recipe={trained_recipe} (here {recipe or 'as they are'})"
        )
    if not different:
        return None
    return (
        f"motion.pretrained={path.name} was trained on {', '.join(different)}: "
        "its motion has another scale or meaning; pre-train with these settings"
    )


def _trained_on(path: Path) -> tuple[Mapping[str, Any], str | None]:
    """(settings of reading, recipe of the clips), as far as they are known."""
    made = (read_description(path) or {}).get("pretraining")
    if isinstance(made, Mapping) and isinstance(made.get("motion"), Mapping):
        return made["motion"], None
    config = path.parent / _CONFIG
    if path.suffix.lower() != ".safetensors" or not config.is_file():
        return {}, None
    try:
        values = read_yaml(config, "configuration")
    except ConfigError:
        return {}, None
    motion, data = (values.get(name) if isinstance(values, Mapping) else None for name in ("motion", "data"))
    recipe = data.get("recipe") if isinstance(data, Mapping) else None
    return motion if isinstance(motion, Mapping) else {}, recipe if isinstance(recipe, str) else None


def _shown(value: Any) -> str:
    """A value as text, however it was stored: configurations hold text, weights files JSON."""
    if isinstance(value, (list, tuple)):
        return "x".join(_shown(item) for item in value)
    text = str(value).lower()[:40]
    try:
        return f"{float(text):g}"
    except ValueError:
        return text


def _rate(recipe: str) -> str | None:
    found = _RATE.search(recipe)
    return found.group(1) if found else None


def _inside(path: Path, state: dict[str, Tensor], expected: Collection[str]) -> dict[str, Tensor]:
    """The tensors of the network with the expected names, which may be a part of the file's."""
    try:
        prefix = find_prefix(state, expected)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: it {error}") from error
    return {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}


def _load_image_network(encoder: nn.Module, path: Path, state: dict[str, Tensor]) -> None:
    from timm.models import adapt_input_conv

    inside = _inside(path, state, encoder.state_dict())
    held = {key: value for key, value in inside.items() if not key.startswith(_CLASSIFIER)}
    stem = held.get(_STEM)
    if stem is not None and stem.ndim == 4 and stem.shape[1] == 3:
        held[_STEM] = adapt_input_conv(2, stem)
    if any("_depthwise_conv" in key for key in held):
        raise CheckpointError(
            f"{path} holds a TensorFlow port of EfficientNet, "
            "whose convolutions pad otherwise than efficientnet_b0"
        )
    load_strictly(path, "the encoder of motion.net=efficientnet_b0", encoder, held)
