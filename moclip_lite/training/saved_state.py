"""State of an interrupted training on disk: tensors, the optimizer's state and notes in plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from ..errors import CheckpointError
from ..storage.files import read_tensors, write_tensors

__all__ = ["load_state", "save_state"]

_FORMAT: Final = "moclip-training-2"
Tensors = dict[str, dict[str, Tensor]]


def save_state(
    path: Path,
    fingerprint: str,
    tensors: Mapping[str, Mapping[str, Tensor]],
    optimizer: torch.optim.Optimizer,
    notes: Mapping[str, Any],
) -> None:
    """Write the state of a training.

    Args:
        path: the file.
        fingerprint: identifies what is trained on what.
        tensors: part -> name -> tensor, such as the network's.
        optimizer: its state is stored too.
        notes: plain values.
    """
    flat = {f"{part}.{name}": value for part, state in tensors.items() for name, value in state.items()}
    for index, state in optimizer.state_dict()["state"].items():
        flat |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    arrays = {name: value.detach().cpu().numpy() for name, value in flat.items()}
    metadata = {"format": _FORMAT, "fingerprint": fingerprint, "notes": json.dumps(dict(notes))}
    write_tensors(path, arrays, metadata)


def load_state(
    path: Path | None, fingerprint: str, optimizer: torch.optim.Optimizer
) -> tuple[Any, Tensors] | None:
    """Read the notes and tensors of :func:`save_state`, and load the optimizer's state.

    Returns:
        None if the file is missing, damaged or of another training, which then starts from the beginning.
    """
    if path is None or not path.exists():
        return None
    try:
        arrays, metadata = read_tensors(path)
        if (metadata.get("format"), metadata.get("fingerprint")) != (_FORMAT, fingerprint):
            return None
        notes = json.loads(metadata["notes"])
    except (CheckpointError, KeyError, ValueError):
        return None
    tensors: Tensors = {}
    for name, value in arrays.items():
        part, _, rest = name.partition(".")
        tensors.setdefault(part, {})[rest] = torch.from_numpy(np.array(value))
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.pop("optimizer", {}).items():
        index, _, entry = name.partition(".")
        state.setdefault(int(index), {})[entry] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return notes, tensors
