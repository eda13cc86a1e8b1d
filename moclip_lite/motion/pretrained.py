"""Weights of a file for a motion network (``motion.pretrained=PATH``).

Two kinds of files are known: a motion network of this program, such as ``motion.safetensors`` of a run, whose
classifier is left out; and, for ``efficientnet_b0``, an image network of ImageNet in timm's layout, whose
stem is adapted to two channels as timm adapts those that it downloads.

Files of this program say what motion their network was trained on: convolutions take any grid, but know other scales.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor, nn

from ..errors import CheckpointError
from ..storage.files import read_metadata
from ..training.foreign import find_prefix, load_strictly, read_checkpoint

__all__ = ["is_generated", "load_pretrained", "other_reading"]

_CLASSIFIER: Final = "classifier."
_STEM: Final = "conv_stem.weight"
_READING: Final = ("field", "stride", "grid", "normalize_distance", "crop", "crop_side")
"""Settings of motion that decide what a network learns, and that the shapes of its weights do not show."""


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
    inside = _behind(state, find_prefix(state, wanted))
    if name == "efficientnet_b0" and not any(key.startswith("encoder.") for key in inside):
        encoder: Any = network.get_submodule("encoder.net")
        _load_image_network(encoder, path, state)
        return
    classifier = {key: value for key, value in network.state_dict().items() if key.startswith(_CLASSIFIER)}
    held = {key: value for key, value in inside.items() if not key.startswith(_CLASSIFIER)}
    load_strictly(path, f"motion.net={name}", network, {**held, **classifier})


def is_generated(path: Path) -> bool:
    """Whether the weights of a file were trained on generated motion, and on no clip."""
    return "pretraining" in _description(path)


def other_reading(path: Path, wanted: Mapping[str, Any]) -> str:
    """What was otherwise in the motion that the network of a file was trained on, in words; "" where nothing is known.

    Args:
        path: of the weights.
        wanted: the settings of motion now, in plain values.
    """
    description = _description(path)
    pretraining = description.get("pretraining")
    read = (pretraining if isinstance(pretraining, dict) else description).get("motion")
    if not isinstance(read, dict):
        return ""
    names = [name for name in _READING if name in read and read[name] != wanted[name]]
    if "crop" not in names and wanted["crop"] == "none":
        names = [name for name in names if name != "crop_side"]
    return ", ".join(f"motion.{name} was {read[name]}, now {wanted[name]}" for name in names)


def _description(path: Path) -> dict[str, Any]:
    """What a file of weights says of itself; {} for files of other programs."""
    try:
        value = json.loads(read_metadata(path)["description"])
    except (CheckpointError, KeyError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _behind(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}


def _load_image_network(encoder: nn.Module, path: Path, state: dict[str, Tensor]) -> None:
    from timm.models import adapt_input_conv

    inside = _behind(state, find_prefix(state, encoder.state_dict()))
    held = {key: value for key, value in inside.items() if not key.startswith(_CLASSIFIER)}
    stem = held.get(_STEM)
    if stem is not None and stem.ndim == 4 and stem.shape[1] == 3:
        held[_STEM] = adapt_input_conv(2, stem)
    if any("_depthwise_conv" in key for key in held):
        raise CheckpointError(
            f"{path} holds a TensorFlow port of EfficientNet, whose convolutions pad otherwise than efficientnet_b0"
        )
    load_strictly(path, "the encoder of motion.net=efficientnet_b0", encoder, held)
