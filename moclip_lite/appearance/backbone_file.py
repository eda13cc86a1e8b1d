"""Loading of a backbone's weights from a checkpoint file: tensors only, and every one of them in its place.

A network whose tensors are partly random gives features that look like any other, so a file must hold all tensors of the
backbone. Those of its classifier are left out; parts that stand apart from the backbone (a decoder, a projection)
are named in the description of the encoder.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import CheckpointError
from .key_maps import efficientnet_of_tensorflow, find_prefix
from .libraries import Library

__all__ = ["LoadedFile", "load_backbone", "read_checkpoint"]

_CONTAINERS: Final = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "state_dict",
    "model_state_dict",
    "model",
    "teacher",
    "network",
    "net",
)
_COUNTERS: Final = ".num_batches_tracked"  # unused in evaluation; checkpoints before PyTorch 0.4 have none
_DERIVED: Final = (".relative_position_index", ".attn_mask", ".relative_coords_table", ".position_ids")
_POSITIONS: Final = ("pos_embed", "relative_position_bias_table")
_SHOWN: Final = 3  # names in a message


@dataclass(frozen=True)
class LoadedFile:
    """How a file was read.

    Attributes:
        layout: in words; "" for the library's own names.
        unused: names of tensors that stand apart from the backbone.
    """

    layout: str
    unused: tuple[str, ...]


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], str]:
    """Read the tensors of a checkpoint: (name -> tensor, the entry that held them or "").

    Raises:
        CheckpointError: missing, damaged, or holds more than tensors and plain values.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such checkpoint (clip.pretrained)")
    value = _read(path)
    entry = ""
    while isinstance(value, Mapping):
        if any(isinstance(item, Tensor) for item in value.values()):
            break
        inside = next((name for name in _CONTAINERS if isinstance(value.get(name), Mapping)), None)
        if inside is None:
            break
        value, entry = value[inside], f"{entry}.{inside}".removeprefix(".")
    if not isinstance(value, Mapping):
        raise CheckpointError(f"{path} holds no tensors by name, but {type(value).__name__}")
    tensors = {str(name): item for name, item in value.items() if isinstance(item, Tensor)}
    if not tensors:
        shown = ", ".join(str(name) for name in list(value)[:_SHOWN])
        raise CheckpointError(f"{path} holds no tensors by name; its entries are {shown or 'none'}")
    return tensors, entry


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        try:
            with safe_open(str(path), framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats; what matters is checked below
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling raises many classes
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{path} can't be read: it is damaged, or holds more than tensors ({reason})"
        ) from error


def load_backbone(library: Library, model: str, network: nn.Module, path: Path) -> LoadedFile:
    """Load a file into a network without classifier, strictly; if it does not fit, the network is unchanged.

    Args:
        library: of the network.
        model: its name there.
        network: from ``library.build``.
        path: of the checkpoint.

    Raises:
        CheckpointError: the file can't be read, or does not fit; missing and unexpected tensors are named.
    """
    state, entry = read_checkpoint(path)
    words = [f"entry {entry}"] if entry else []
    expected, ignored = network.state_dict(), library.classifier(model)
    try:
        arranged, layout, unused = _arrange(library, model, network, state)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: it {error}") from error
    if layout:
        words.append(layout)
    backbone = {
        name: value
        for name, value in arranged.items()
        if name in expected or (not name.startswith(ignored) and not name.endswith(_DERIVED))
    }
    for name, value in expected.items():
        if name.endswith(_COUNTERS) and name not in backbone:
            backbone[name] = value
    _check(path, f"{library.name}:{model}", expected, backbone)
    network.load_state_dict({name: value.to(expected[name].dtype) for name, value in backbone.items()})
    return LoadedFile(", ".join(words), unused)


def _arrange(
    library: Library, model: str, network: nn.Module, state: dict[str, Tensor]
) -> tuple[dict[str, Tensor], str, tuple[str, ...]]:
    """The tensors by the network's names, the layout in words, and names of what stands apart from the backbone."""
    if library.name == "timm":
        renamed = efficientnet_of_tensorflow(model, network, state)
        if renamed is not None:
            return renamed, "names of the TensorFlow port of EfficientNet", ()
    expected = {name for name in network.state_dict() if not name.endswith(_COUNTERS)}
    prefix = find_prefix(state, expected)
    inside = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
    apart = tuple(sorted(name for name in state if not name.startswith(prefix)))
    if expected <= set(inside):
        return inside, f"names behind {prefix}" if prefix else "", apart
    if any("visual." in name for name in state):
        raise CheckpointError(
            "holds the image tower of a CLIP, which may have another activation; "
            "use clip.model=open_clip:NAME for it"
        )
    converted = _converted(library, network, inside)
    if converted is not None and expected <= set(converted):
        return converted, f"converted by {library.name}", apart
    return inside, "", apart


def _converted(library: Library, network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Tensors by the library's own converter; None where it can't, or would resize position embeddings."""
    sizes = {value.numel() for name, value in network.state_dict().items() if name.endswith(_POSITIONS)}
    held = {value.numel() for name, value in state.items() if name.endswith(_POSITIONS)}
    if sizes and not held <= sizes:
        return None
    try:
        return library.convert(network, dict(state))
    except Exception:  # a converter for other checkpoints than this one may raise anything
        return None


def _check(path: Path, model: str, expected: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> None:
    missing, extra = sorted(set(expected) - set(held)), sorted(set(held) - set(expected))
    if missing or extra:
        parts = [
            f"{len(names)} of its tensors {words} ({_some(names)})"
            for names, words in ((missing, "are missing"), (extra, "belong to no part of it"))
            if names
        ]
        raise CheckpointError(
            f"{path} does not fit {model} of {len(expected)} tensors: {', and '.join(parts)}"
        )
    for name, value in expected.items():
        if tuple(held[name].shape) != tuple(value.shape):
            raise CheckpointError(
                f"{path}: {name!r} has shape {tuple(held[name].shape)}, {model} needs {tuple(value.shape)}"
            )
        if held[name].is_floating_point() != value.is_floating_point():
            raise CheckpointError(f"{path}: {name!r} holds {held[name].dtype}, {model} needs {value.dtype}")
        if not torch.isfinite(held[name]).all():
            raise CheckpointError(f"{path}: {name!r} holds numbers that are not finite")


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
