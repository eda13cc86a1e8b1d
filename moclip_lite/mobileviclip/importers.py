"""Checkpoints of others, tensor by tensor: what fits, what is missing, what is left over.

Nothing is lost in silence: what a file holds and the model has no place for, or the reverse, is an
error unless the caller asks for a part. The names of upstream's temporal convolutions are unknown; where
they don't match, `rename` says what they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from ..errors import CheckpointError, ConfigError
from ..storage.files import read_tensors
from .config import IMAGENET
from .layouts import (
    EMBEDDING,
    Layout,
    layout_of,
    our_names,
)
from .model import MobileViCLIP

__all__ = ["ImportReport", "import_checkpoint", "read_state"]

_TEMPORAL: Final = "temporal modules"


@dataclass(frozen=True)
class ImportReport:
    """What became of a checkpoint's tensors.

    Attributes:
        layout: whose names it uses.
        matched: tensors of the model that were loaded.
        new: temporal tensors that an image model can't have: they stay what makes the model equal to it.
        missing: tensors of the model that should have been there.
        unexpected: tensors of the file that the model has no place for.
    """

    layout: Layout
    matched: tuple[str, ...]
    new: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    def summary(self) -> str:
        """One line for people."""
        parts = [f"{self.layout} layout: {len(self.matched)} tensors matched"]
        parts += [f"{len(self.new)} temporal ones new"] if self.new else []
        for kind, names in (("missing", self.missing), ("unexpected", self.unexpected)):
            shown = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
            parts.append(f"{len(names)} {kind}" + (f" ({shown})" if names else ""))
        return ", ".join(parts)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a .pt that holds nothing else; no pickled code runs.

    A top-level ``module``, ``state_dict`` or ``model`` is opened.

    Raises:
        CheckpointError: missing, damaged, or more than tensors.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such checkpoint")
    if path.suffix == ".safetensors":
        arrays, _ = read_tensors(path)
        return {name: torch.from_numpy(value) for name, value in arrays.items()}
    try:
        value: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds; all mean the same to the user
        raise CheckpointError(f"{path} is damaged, or holds more than tensors; it was not opened") from error
    for key in ("module", "state_dict", "model"):
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    if not isinstance(value, dict) or not value or not all(isinstance(v, Tensor) for v in value.values()):
        raise CheckpointError(f"{path} is not a table of named tensors")
    return {str(name): tensor for name, tensor in value.items()}


def import_checkpoint(
    model: MobileViCLIP,
    path: Path,
    *,
    partial: bool = False,
    rename: Sequence[tuple[str, str]] = (),
) -> ImportReport:
    """Load a MobileCLIP or MobileViCLIP checkpoint of another project.

    A checkpoint in the published MobileViCLIP's layout sets the model's normalisation to ImageNet's
    statistics, as its users do; it does not say so itself.

    Args:
        model: in training form; unchanged if the checkpoint is refused.
        path: of the file.
        partial: accept missing and unexpected tensors; the report names them, and the model says from then on
            which of its parts are random.
        rename: (regular expression, replacement) on the names in the file, in order.

    Raises:
        CheckpointError: not such a file, folded, of another size, not finite, not whole, with integers for
            weights, or with two tensors for one place.
        ConfigError: a `rename` that can't be used.
    """
    state = _renamed(path, read_state(path), rename)
    layout = layout_of(state)
    if layout is None:
        first = next(iter(state), "nothing")
        raise CheckpointError(
            f"{path} is no checkpoint of MobileCLIP or MobileViCLIP: it holds names such as {first!r}"
        )
    if any(".reparam_conv." in name for name in state):
        raise CheckpointError(f"{path} is folded for inference; give the checkpoint in training form")
    names = our_names(state, layout, model.config)
    _refuse_doubles(path, names)
    target = model.state_dict()
    loaded = {
        ours: _fit(path, name, state[name], target[ours], model)
        for name, ours in names.items()
        if ours in target
    }
    if layout in ("mobileviclip", "apple") and "video.trunk.head.fc.weight" in loaded:
        loaded["video.trunk.head.fc.bias"] = torch.zeros(model.config.embed_dim)  # their projection has none
    report = _report(layout, state, names, target, loaded)
    if not partial and (report.missing or report.unexpected):
        raise CheckpointError(
            f"{path} does not fit mobileviclip-{model.config.name} without loss ({report.summary()})"
        )
    model.load_state_dict({**target, **loaded})
    model.clamp_temperature()
    model.weights = f"weights of {path.name} ({layout} layout)"
    if temporal := [name for name in target if _part_of(name) == _TEMPORAL]:
        model.weights += ", temporal modules new" if not set(temporal) & set(loaded) else ""
    model.random_parts = _random_parts(target, loaded)
    if layout == "mobileviclip":
        model.set_normalization(IMAGENET)
    return report


def _renamed(path: Path, state: Mapping[str, Tensor], rename: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
    """The tensors by their names after all replacements.

    Raises:
        ConfigError: a pattern or replacement that can't be used.
        CheckpointError: two tensors come to one name.
    """
    origin: dict[str, str] = {}
    for name in state:
        new = name
        for pattern, replacement in rename:
            try:
                new = re.sub(pattern, replacement, new)
            except (re.error, IndexError) as error:  # IndexError: no group of that name
                raise ConfigError(f"{pattern!r} can't be replaced by {replacement!r}: {error}") from error
        if new in origin:
            raise CheckpointError(f"{path}: {origin[new]!r} and {name!r} would both be renamed to {new!r}")
        origin[new] = name
    return {new: state[name] for new, name in origin.items()}


def _refuse_doubles(path: Path, names: Mapping[str, str]) -> None:
    """Refuse two tensors for one place, such as `logit_scale` beside `temp`.

    Raises:
        CheckpointError: there are such.
    """
    first: dict[str, str] = {}
    for name, ours in names.items():
        if ours in first:
            raise CheckpointError(
                f"{path}: {first[ours]!r} and {name!r} are both the model's {ours!r}; which holds?"
            )
        first[ours] = name


def _part_of(name: str) -> str:
    """Which part of the model a tensor is in, for people."""
    if ".temporal." in name or name == EMBEDDING:
        return _TEMPORAL
    return "text tower" if name.startswith("text.") else "video encoder"


def _random_parts(target: Mapping[str, Tensor], loaded: Mapping[str, Tensor]) -> tuple[str, ...]:
    """What the file had nothing for. New temporal modules are none: together they are the identity."""
    parts: dict[str, list[bool]] = {}
    for name in target:
        if not name.endswith("num_batches_tracked") and name != "log_temperature":
            parts.setdefault(_part_of(name), []).append(name in loaded)
    return tuple(
        part if not any(there) else f"{part} ({there.count(False)} of {len(there)} tensors)"
        for part, there in parts.items()
        if not all(there) and (any(there) or part != _TEMPORAL)
    )


def _report(
    layout: Layout,
    state: Mapping[str, Tensor],
    names: Mapping[str, str],
    target: Mapping[str, Tensor],
    loaded: Mapping[str, Tensor],
) -> ImportReport:
    # How many batches a norm has seen has no part in its output.
    absent = [name for name in target if name not in loaded and not name.endswith("num_batches_tracked")]
    temporal = {name for name in absent if ".temporal." in name or name == EMBEDDING}
    images_only = layout != "mobileviclip"
    unexpected = [name for name in state if names.get(name) not in target]
    return ImportReport(
        layout,
        matched=tuple(sorted(loaded)),
        new=tuple(sorted(temporal)) if images_only else (),
        missing=tuple(sorted(set(absent) - temporal if images_only else absent)),
        unexpected=tuple(sorted(n for n in unexpected if not n.endswith("num_batches_tracked"))),
    )


def _fit(path: Path, name: str, value: Tensor, place: Tensor, model: MobileViCLIP) -> Tensor:
    """A tensor of the file in the shape of its place."""
    if place.is_floating_point() and not value.is_floating_point():
        kind = str(value.dtype).removeprefix("torch.")
        raise CheckpointError(f"{path}: {name!r} holds {kind} numbers, needed are weights in floating point")
    value = value.detach().float() if value.is_floating_point() else value.detach()
    if name == "temp":
        if not bool((value > 0).all()):
            raise CheckpointError(f"{path}: 'temp' must be above 0")
        value = value.log()
    elif name == "logit_scale":
        value = -value
    elif name.endswith("head.proj"):
        value = value.T
    squeezed = [n for n in value.shape if n != 1]
    if squeezed != [n for n in place.shape if n != 1]:
        raise CheckpointError(
            f"{path} belongs to another model than mobileviclip-{model.config.name} with "
            f"{model.config.num_frames} frames: {name!r} has shape {list(value.shape)}, needed is {list(place.shape)}"
        )
    if value.is_floating_point() and not bool(torch.isfinite(value).all()):
        raise CheckpointError(f"{path}: {name!r} holds numbers that are not finite")
    return value.reshape(place.shape).to(place.dtype).contiguous()
