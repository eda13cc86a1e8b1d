"""Import of other projects' checkpoints into :class:`MobileViCLIP`.

Tensors of the file without a place in the model, and places in the model without a tensor, are an error
unless a partial import is asked for. The names of upstream's temporal convolutions are unknown; `rename`
translates them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from ..errors import CheckpointError, ConfigError
from ..training.foreign import read_safetensors
from .config import IMAGENET
from .layouts import EMBEDDING, Layout, find_layout, translate_names
from .model import MobileViCLIP, flaw_of

__all__ = ["MODEL_FILE", "ImportReport", "import_checkpoint", "read_state"]

MODEL_FILE: Final = "model.safetensors"
"""Name of the weights in a run folder of video-text training."""
_TEMPORAL: Final = "temporal modules"


@dataclass(frozen=True)
class ImportReport:
    """Which tensors an import matched.

    Attributes:
        layout: naming scheme of the file.
        matched: tensors of the model that were loaded.
        new: temporal tensors that an image model lacks; their initial values leave
            the image model's output unchanged.
        missing: other tensors of the model that the file lacks.
        unexpected: tensors of the file that the model has no place for.
        idle: patterns of `rename` that match no name of the file.
    """

    layout: Layout
    matched: tuple[str, ...]
    new: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    idle: tuple[str, ...] = ()

    def summary(self) -> str:
        """One line for users."""
        parts = [f"{self.layout} layout: {len(self.matched)} tensors matched"]
        parts += [f"{len(self.new)} temporal ones new"] if self.new else []
        for kind, names in (("missing", self.missing), ("unexpected", self.unexpected)):
            examples = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
            parts.append(f"{len(names)} {kind}" + (f" ({examples})" if names else ""))
        return ", ".join(parts)


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a .safetensors file, or of a .pt file that holds only tensors; no code runs.

    A top-level ``module``, ``state_dict`` or ``model`` is opened.

    Raises:
        CheckpointError: missing, damaged, or more than tensors.
    """
    if path.is_dir():
        inside = next(
            (p for p in (path / MODEL_FILE, *sorted(path.glob("*.safetensors"))) if p.is_file()), None
        )
        example = "" if inside is None else f", such as {inside}"
        raise CheckpointError(f"{path} is a folder; name the file of the weights in it{example}")
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such checkpoint")
    if path.suffix.lower() == ".safetensors":
        return read_safetensors(path)[0]
    try:
        value: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds; all mean the same to the user
        raise CheckpointError(f"{path} is no file of weights, damaged, or holds more than tensors") from error
    for key in ("module", "state_dict", "model"):
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    if not isinstance(value, dict) or not value or not all(isinstance(v, Tensor) for v in value.values()):
        raise CheckpointError(f"{path} is not a table of named tensors")
    return {str(name): tensor for name, tensor in value.items()}


def import_checkpoint(
    model: MobileViCLIP, path: Path, *, partial: bool = False, rename: Sequence[tuple[str, str]] = ()
) -> ImportReport:
    """Load a MobileCLIP or MobileViCLIP checkpoint of another project.

    A checkpoint in the published MobileViCLIP's layout sets the model's normalisation to ImageNet's
    statistics, which its users apply; the file itself does not say so.

    Args:
        model: in training form; unchanged if the checkpoint is refused.
        path: the file.
        partial: accept missing and unexpected tensors. The report names them, and the model records which
            of its parts are random.
        rename: (regular expression, replacement) pairs, applied in order to the names in the file.

    Raises:
        CheckpointError: not such a file, folded, of another size, not finite, incomplete, with integers for
            weights, or with two tensors for one place.
        ConfigError: a `rename` that can't be used.
    """
    state, idle = _renamed(path, read_state(path), rename)
    layout = _known_layout(path, state)
    names = translate_names(state, layout, model.config)
    _refuse_duplicates(path, names)
    target = model.state_dict()
    loaded = {
        ours: _converted(path, name, state[name], target[ours], model)
        for name, ours in names.items()
        if ours in target
    }
    if layout in ("mobileviclip", "apple") and "video.trunk.head.fc.weight" in loaded:
        loaded["video.trunk.head.fc.bias"] = torch.zeros(model.config.embed_dim)  # their projection has none
    report = replace(_report(layout, state, names, target, loaded), idle=idle)
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


def _renamed(
    path: Path, state: Mapping[str, Tensor], rename: Sequence[tuple[str, str]]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors by their names after all replacements, and the patterns that match no name.

    Raises:
        ConfigError: a pattern or replacement that can't be used.
        CheckpointError: two tensors get the same name.
    """
    original: dict[str, str] = {}
    used = dict.fromkeys((pattern for pattern, _ in rename), 0)
    for name in state:
        new = name
        for pattern, replacement in rename:
            try:
                new, count = re.subn(pattern, replacement, new)
            except (re.error, IndexError) as error:  # IndexError: no group of that name
                raise ConfigError(f"{pattern!r} can't be replaced by {replacement!r}: {error}") from error
            used[pattern] += count
        if new in original:
            raise CheckpointError(f"{path}: {original[new]!r} and {name!r} would both be renamed to {new!r}")
        original[new] = name
    idle = tuple(pattern for pattern, count in used.items() if not count)
    return {new: state[name] for new, name in original.items()}, idle


def _known_layout(path: Path, state: Mapping[str, Tensor]) -> Layout:
    """The layout of a checkpoint in training form.

    Raises:
        CheckpointError: an unknown layout, or a folded checkpoint.
    """
    layout = find_layout(state)
    if layout is None:
        first = next(iter(state), "nothing")
        raise CheckpointError(
            f"{path} is no checkpoint of MobileCLIP or MobileViCLIP: it holds names such as {first!r}"
        )
    if any(".reparam_conv." in name for name in state):
        raise CheckpointError(f"{path} is folded for inference; give the checkpoint in training form")
    return layout


def _refuse_duplicates(path: Path, names: Mapping[str, str]) -> None:
    """Refuse two tensors for one place, such as `logit_scale` and `temp`.

    Raises:
        CheckpointError: there are such tensors.
    """
    first: dict[str, str] = {}
    for name, ours in names.items():
        if ours in first:
            raise CheckpointError(
                f"{path}: {first[ours]!r} and {name!r} are both the model's {ours!r}; "
                "remove or rename one of them"
            )
        first[ours] = name


def _part_of(name: str) -> str:
    """The part of the model that a tensor belongs to, in words."""
    if ".temporal." in name or name == EMBEDDING:
        return _TEMPORAL
    return "text tower" if name.startswith("text.") else "video encoder"


def _random_parts(target: Mapping[str, Tensor], loaded: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Parts that keep random values; temporal modules that are all new are the identity and do not count."""
    parts: dict[str, list[bool]] = {}
    for name in target:
        if not name.endswith("num_batches_tracked") and name != "log_temperature":
            parts.setdefault(_part_of(name), []).append(name in loaded)
    return tuple(
        part if not any(present) else f"{part} ({present.count(False)} of {len(present)} tensors)"
        for part, present in parts.items()
        if not all(present) and (any(present) or part != _TEMPORAL)
    )


def _report(
    layout: Layout,
    state: Mapping[str, Tensor],
    names: Mapping[str, str],
    target: Mapping[str, Tensor],
    loaded: Mapping[str, Tensor],
) -> ImportReport:
    # The number of batches that a norm has seen does not change its output.
    absent = [name for name in target if name not in loaded and not name.endswith("num_batches_tracked")]
    temporal = {name for name in absent if _part_of(name) == _TEMPORAL}
    images_only = layout != "mobileviclip"
    unexpected = [name for name in state if names.get(name) not in target]
    return ImportReport(
        layout,
        matched=tuple(sorted(loaded)),
        new=tuple(sorted(temporal)) if images_only else (),
        missing=tuple(sorted(set(absent) - temporal if images_only else absent)),
        unexpected=tuple(sorted(n for n in unexpected if not n.endswith("num_batches_tracked"))),
    )


def _converted(path: Path, name: str, value: Tensor, place: Tensor, model: MobileViCLIP) -> Tensor:
    """A tensor of the file with the shape, type and meaning of its place in the model."""
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
    if [n for n in value.shape if n != 1] != [n for n in place.shape if n != 1]:
        raise CheckpointError(
            f"{path} belongs to another model than mobileviclip-{model.config.name} "
            f"with {model.config.num_frames} frames: "
            f"{name!r} has shape {list(value.shape)}, needed is {list(place.shape)}"
        )
    if flaw := flaw_of(name, value):
        raise CheckpointError(f"{path}: {name!r} holds {flaw}")
    return value.reshape(place.shape).to(place.dtype).contiguous()
