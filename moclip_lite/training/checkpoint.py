"""Weights files: safetensors with a description that is checked when they are loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..errors import CheckpointError
from ..storage.digest import digest_bytes
from ..storage.files import read_tensors, write_tensors
from .weights_file import CONTENT, check_content, check_labels, content_digest, labels_digest

__all__ = ["Sources", "load_arrays", "load_weights", "save_weights", "weights_digest"]


@runtime_checkable
class _Sized(Protocol):
    """A module whose tensors have no fixed size."""

    def take_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Make room for tensors of these shapes, as far as they fit the module."""


Sources = Mapping[str, str]
"""Digests of what weights were trained on: "motion_network" and "encoder", as far as used."""


def weights_digest(module: nn.Module, configuration: Mapping[str, Any] | None = None) -> str:
    """Digest of all weights and buffers of a module, and of their configuration in plain values."""

    def parts() -> Iterator[bytes]:
        if configuration is not None:
            yield json.dumps(dict(configuration), sort_keys=True).encode()
        for name, value in sorted(module.state_dict().items()):
            yield name.encode()
            yield np.ascontiguousarray(value.detach().cpu().numpy()).tobytes()

    return digest_bytes(parts())


def save_weights(
    path: Path,
    module: nn.Module,
    labels: Sequence[str],
    description: Mapping[str, Any],
    sources: Sources | None = None,
) -> None:
    """Write a module's weights, the digests of its labels and sources, and a description in plain values.

    A digest of the numbers lies beside them.
    """
    arrays = {name: value.detach().cpu().numpy() for name, value in module.state_dict().items()}
    metadata = {"labels": labels_digest(labels), "description": json.dumps(dict(description))}
    metadata[CONTENT] = content_digest(arrays)
    write_tensors(path, arrays, {**(sources or {}), **metadata})


def load_weights(path: Path, module: nn.Module, labels: Sequence[str]) -> None:
    """Load weights into a module, strictly.

    Raises:
        CheckpointError: missing, damaged or changed, or saved for other labels or another network.
    """
    arrays, metadata = read_tensors(path)
    check_labels(path, metadata, labels)
    _check_arrays(path, arrays, module)
    check_content(path, arrays, metadata)
    _load_arrays(arrays, module)


def load_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]], module: nn.Module) -> None:
    """Load the arrays of a file into a module, strictly; if they do not fit, the module is unchanged.

    Raises:
        CheckpointError: saved for another network, or not finite.
    """
    _check_arrays(path, arrays, module)
    _load_arrays(arrays, module)


def _load_arrays(arrays: Mapping[str, npt.NDArray[Any]], module: nn.Module) -> None:
    module.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in arrays.items()})


def _check_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]], module: nn.Module) -> None:
    """Refuse arrays that do not fit a module, or are not finite."""
    if isinstance(module, _Sized):
        module.take_shapes({name: tuple(array.shape) for name, array in arrays.items()})
    expected = module.state_dict()
    missing, unexpected = sorted(set(expected) - set(arrays)), sorted(set(arrays) - set(expected))
    if missing or unexpected:
        first = (missing or unexpected)[0]
        raise CheckpointError(
            f"{path} belongs to another network: {len(missing)} tensors missing, "
            f"{len(unexpected)} unexpected, such as {first!r}"
        )
    for name, value in expected.items():
        if tuple(arrays[name].shape) != tuple(value.shape):
            raise CheckpointError(
                f"{path}: {name!r} has shape {tuple(arrays[name].shape)}, "
                f"the network needs {tuple(value.shape)}"
            )
        if arrays[name].dtype.kind == "f" and not np.isfinite(arrays[name]).all():
            raise CheckpointError(f"{path}: {name!r} holds numbers that are not finite")
