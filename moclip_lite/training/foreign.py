"""Checkpoints of other projects: reading tensors only, finding their names' prefix, loading strictly."""

from __future__ import annotations

import re
import textwrap
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import CheckpointError

__all__ = ["check_tensor", "find_prefix", "load_strictly", "read_checkpoint", "read_safetensors", "reason_of"]

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
_VARIANCE: Final = ".running_var"
_COUNTERS: Final = ".num_batches_tracked"  # unused in evaluation; checkpoints before PyTorch 0.4 have none
_SHOWN: Final = 3  # names in a message
_REASON: Final = 300  # characters
_USED: Final = re.compile(
    r"\b(encoder_q|base_encoder|online\w*|teacher\w*)\."
)  # of two networks; see find_prefix


def read_checkpoint(path: Path, setting: str) -> tuple[dict[str, Tensor], str]:
    """Read the tensors of a checkpoint: (name -> tensor, the entry that held them or "").

    Args:
        path: safetensors, or a torch file that holds tensors only.
        setting: that names the file, for messages.

    Raises:
        CheckpointError: missing, damaged, or holds more than tensors and plain values.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such checkpoint ({setting})")
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


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file of any type of numbers, bfloat16 too: (name -> tensor, metadata).

    Raises:
        CheckpointError: missing, or damaged.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = dict(file.metadata() or {})
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing") from error
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error


def _read(path: Path) -> Any:
    if path.suffix.lower() == ".safetensors":
        return read_safetensors(path)[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats; what matters is checked below
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling raises many classes
        raise CheckpointError(
            f"{path} can't be read: it is no file of weights, damaged, "
            f"or holds more than tensors{reason_of(error)}"
        ) from error


def reason_of(error: Exception) -> str:
    """What an error says, on one line in brackets; "" of those about pickles, because PyTorch recommends to
    run their code."""
    if isinstance(error, UnpicklingError):
        return ""
    # torch names missing and unexpected tensors in the lines after the first.
    words = " ".join(str(error).split()) or type(error).__name__
    return f" ({textwrap.shorten(words, _REASON, placeholder=' ...')})"


def find_prefix(names: Collection[str], expected: Collection[str]) -> str:
    """The prefix under which a file holds most of the expected names; "" if none fits better.

    Counters of batches, which may be missing, do not count. Of a network that learned without labels and its
    moving average, the one that its authors use: the query encoder of MoCo (`encoder_q`, in its third version
    `base_encoder`), the online network of BYOL, the teacher of DINO.

    Raises:
        CheckpointError: two complete networks, of which it does not say which one is used.
    """
    wanted = {name for name in expected if not name.endswith(_COUNTERS)}
    anchors = sorted(wanted, key=len, reverse=True)[:3] + sorted(wanted)[:3]
    candidates = {""}
    for anchor in anchors:
        candidates |= {name[: -len(anchor)] for name in names if name.endswith(f".{anchor}")}

    def fit(prefix: str) -> int:
        return len(wanted.intersection(name[len(prefix) :] for name in names if name.startswith(prefix)))

    fits = {prefix: fit(prefix) for prefix in sorted(candidates, key=lambda prefix: (len(prefix), prefix))}
    best = max(fits.values())
    fitting = [prefix for prefix, count in fits.items() if count == best]
    used = [prefix for prefix in fitting if _USED.search(prefix)]
    if len(used) == 1:
        return used[0]
    if best == len(wanted) and len(fitting) > 1:
        raise CheckpointError(
            f"holds {len(fitting)} networks of these tensors, behind {' and '.join(map(repr, fitting))}; "
            "save the one to use in a file of its own"
        )
    return fitting[0]


def load_strictly(path: Path, model: str, network: nn.Module, held: Mapping[str, Tensor]) -> None:
    """Load tensors into a network; if they do not fit, the network is unchanged.

    Counters of batches, which evaluation does not use, may be missing.

    Args:
        path: of the file, for messages.
        model: name of the network, for messages.
        network: whose tensors are replaced, all of them.
        held: name -> tensor, by the network's names.

    Raises:
        CheckpointError: tensors are missing or unexpected, which are named,
            or of another shape or type, or not finite.
    """
    expected = network.state_dict()
    counters = {name: value for name, value in expected.items() if name.endswith(_COUNTERS)}
    complete = {**counters, **held}
    _check(path, model, expected, complete)
    network.load_state_dict({name: value.to(expected[name].dtype) for name, value in complete.items()})


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
        check_tensor(path, model, name, held[name], value)


def check_tensor(path: Path, model: str, name: str, held: Tensor, place: Tensor) -> None:
    """Refuse a tensor that would have to be changed to fit, or that no network can compute with.

    Args:
        path, model, name: of the file, the network and the tensor, for messages.
        held: of the file.
        place: the network's tensor.

    Raises:
        CheckpointError: another shape or kind of numbers, sparse, not finite, or a negative variance.
    """
    if tuple(held.shape) != tuple(place.shape):
        raise CheckpointError(
            f"{path}: {name!r} has shape {tuple(held.shape)}, {model} needs {tuple(place.shape)}"
        )
    if held.is_floating_point() != place.is_floating_point():
        raise CheckpointError(f"{path}: {name!r} holds {held.dtype}, {model} needs {place.dtype}")
    if held.layout is not torch.strided:
        raise CheckpointError(f"{path}: {name!r} is a sparse tensor; save it as a dense one")
    if not torch.isfinite(held.to(place.dtype)).all():
        raise CheckpointError(f"{path}: {name!r} holds numbers that are not finite in {place.dtype}")
    if name.endswith(_VARIANCE) and (held < 0).any():
        raise CheckpointError(f"{path}: {name!r} holds negative variances")


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
