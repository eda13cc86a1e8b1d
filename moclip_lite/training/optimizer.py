"""An optimizer over time: which parameters it decays, its rate, and its state on disk between two runs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from ..storage.files import read_tensors, write_tensors

__all__ = ["load_state", "parameter_groups", "save_state", "warm_cosine"]

Note = TypeVar("Note")


def parameter_groups(
    model: nn.Module, options: Callable[[str, nn.Parameter], Mapping[str, float]]
) -> list[dict[str, Any]]:
    """Trainable parameters in groups of the same options, as torch's optimizers take them.

    Args:
        model: whose.
        options: what a name and its parameter get, such as {"weight_decay": 0.1}.
    """
    groups: dict[tuple[tuple[str, float], ...], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(tuple(options(name, parameter).items()), []).append(parameter)
    return [{"params": parameters, **dict(chosen)} for chosen, parameters in groups.items()]


def warm_cosine(step: int, warm: float, total: float) -> float:
    """Share of the peak rate: a line up over `warm` steps, then half a cosine down to `total`."""
    if step < warm:
        return (step + 1) / max(warm, 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def save_state(
    path: Path,
    fingerprint: str,
    parts: Mapping[str, Mapping[str, Tensor]],
    optimizer: torch.optim.Optimizer,
    note: Mapping[str, Any],
) -> None:
    """Write what an interrupted training needs to go on: states by name, the optimizer's, and a note in plain values."""
    tensors = {f"{part}.{name}": value for part, state in parts.items() for name, value in state.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
    write_tensors(path, arrays, {"fingerprint": fingerprint, "note": json.dumps(dict(note))})


def load_state(
    path: Path | None, fingerprint: str, optimizer: torch.optim.Optimizer, parse: Callable[[Any], Note]
) -> tuple[Note, dict[str, dict[str, Tensor]]] | None:
    """The note and the states of :func:`save_state`; the optimizer takes its own.

    Returns:
        None where there is no such file, or one that is damaged or of another training: train from the start.
    """
    if path is None or not path.exists():
        return None
    try:
        arrays, metadata = read_tensors(path)
        if metadata.get("fingerprint") != fingerprint:
            return None
        note = parse(json.loads(metadata["note"]))
    except (CheckpointError, AttributeError, KeyError, TypeError, ValueError):
        return None
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in arrays.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = torch.from_numpy(np.array(value))
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts.pop("optimizer", {}).items():
        index, _, entry = name.partition(".")
        state.setdefault(int(index), {})[entry] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return note, parts
