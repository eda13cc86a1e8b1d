"""Loading of a backbone's weights from a checkpoint file: tensors only, and every one of them in its place.

A network whose tensors are partly random gives features that look like any other, so a file must hold all
tensors of the backbone. Those of its classifier are left out; parts that stand apart from the backbone (a
decoder, a projection) are named in the description of the encoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torch import Tensor, nn

from ...errors import CheckpointError
from ...training.foreign import find_prefix, load_strictly, read_checkpoint
from .key_maps import efficientnet_of_tensorflow
from .libraries import Library

__all__ = ["LoadedFile", "load_backbone"]

_COUNTERS: Final = ".num_batches_tracked"
_DERIVED: Final = (".relative_position_index", ".attn_mask", ".relative_coords_table", ".position_ids")
_POSITIONS: Final = ("pos_embed", "relative_position_bias_table")


@dataclass(frozen=True)
class LoadedFile:
    """How a file was read.

    Attributes:
        layout: in words; "" for the library's own names.
        unused: names of tensors that stand apart from the backbone.
    """

    layout: str
    unused: tuple[str, ...]


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
    state, entry = read_checkpoint(path, "clip.pretrained")
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
    load_strictly(path, f"{library.name}:{model}", network, backbone)
    return LoadedFile(", ".join(words), unused)


def _arrange(
    library: Library, model: str, network: nn.Module, state: dict[str, Tensor]
) -> tuple[dict[str, Tensor], str, tuple[str, ...]]:
    """The tensors by the network's names, the layout in words, and names of what is not the backbone's."""
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
