"""Weights files of this program, and creation of a model by name."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from ..errors import CheckpointError, ConfigError, WeightsUnavailable
from ..progress import logger_level
from ..storage.files import write_tensors
from ..training.foreign import read_safetensors
from .config import MobileViClipConfig
from .importers import import_checkpoint
from .model import MobileViCLIP, build, flaw_of, variant

__all__ = ["RANDOM", "TAGS", "create_mobileviclip", "is_ours", "load_model", "save_model"]

_FORMAT: Final = "mobileviclip-1"
RANDOM: Final = "none"
"""Name of random, seeded weights; used only on request."""
TAGS: Final = ("datacompdr",)
"""Image and text weights of MobileCLIP on a hub; temporal modules start as the identity."""


def save_model(path: Path, model: MobileViCLIP) -> None:
    """Write a model, in training or folded form, as safetensors with its configuration.

    Raises:
        CheckpointError: it holds numbers with which :func:`load_model` would refuse it; nothing is written.
    """
    state = model.state_dict()
    _refuse_flaws(f"{path} is not written", state)
    arrays = {name: value.detach().cpu().contiguous().numpy() for name, value in state.items()}
    description = {
        "config": model.config.describe(),
        "folded": model.folded,
        "weights": model.weights,
        "random_parts": list(model.random_parts),
    }
    write_tensors(path, arrays, {"format": _FORMAT, "about": json.dumps(description)})


def load_model(path: Path) -> MobileViCLIP:
    """Read a file written by :func:`save_model`.

    Raises:
        CheckpointError: missing, damaged, or not such a file, or no model can compute with its numbers.
    """
    tensors, metadata = read_safetensors(path)
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is not a MobileViCLIP of this program")
    try:
        description = json.loads(metadata["about"])
        config = MobileViClipConfig.from_description(description["config"])
        folded, origin = bool(description["folded"]), str(description["weights"])
        random_parts = tuple(str(part) for part in description.get("random_parts", ()))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: its description can't be read") from error
    except CheckpointError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    _check_tensors(path, tensors, config, folded)
    model = build(config)
    if folded:
        model.fold()
    model.load_state_dict(tensors)
    _refuse_flaws(str(path), model.state_dict())  # in the types that the model computes with
    model.weights, model.random_parts = origin, random_parts
    return model


def _check_tensors(
    path: Path, tensors: Mapping[str, Tensor], config: MobileViClipConfig, folded: bool
) -> None:
    """Compare a file's tensors with the model that its description announces.

    Raises:
        CheckpointError: they differ.
    """
    with torch.device("meta"):  # allocates no memory before the file is known to fill it
        model = MobileViCLIP(config)
        if folded:
            model.eval().fold()
    if folded and any(".mlp.conv.bn." in name for name in tensors):
        raise CheckpointError(f"{path} was folded by an earlier version; fold the training form again")
    expected = model.state_dict()
    for name in sorted(set(expected) | set(tensors)):
        if name not in tensors or name not in expected or not _fits(tensors[name], expected[name]):
            raise CheckpointError(f"{path} is damaged: {name!r} differs from its description")


def _fits(value: Tensor, place: Tensor) -> bool:
    """Whether shapes are equal and both hold floating-point numbers or both do not."""
    return value.shape == place.shape and value.is_floating_point() == place.is_floating_point()


def _refuse_flaws(subject: str, state: Mapping[str, Tensor]) -> None:
    """Refuse numbers that no model can compute with.

    Raises:
        CheckpointError: there are some.
    """
    for name, value in state.items():
        if flaw := flaw_of(name, value):
            raise CheckpointError(f"{subject}: {name!r} holds {flaw}")


def create_mobileviclip(
    name: str,
    pretrained: str | Path | None = None,
    num_frames: int = 8,
    *,
    seed: int = 0,
    partial: bool = False,
    rename: Sequence[tuple[str, str]] = (),
) -> MobileViCLIP:
    """Create a model, in evaluation mode.

    Args:
        name: "tiny" (MobileCLIP-S0) or "small" (S2).
        pretrained: None for random weights (``model.weights`` says so); "datacompdr" for MobileCLIP's weights
            from a hub; or the path of a checkpoint: this program's, MobileCLIP's in Apple's, open_clip's or
            timm's layout, or the published MobileViCLIP's.
        num_frames: frames of a clip; the published weights are for 8.
        seed: seed of random weights.
        partial, rename: see :func:`moclip_lite.mobileviclip.import_checkpoint`.

    Raises:
        ConfigError: an unknown name or tag.
        CheckpointError: a file that does not fit.
        WeightsUnavailable: the weights can't be downloaded.
    """
    config = variant(name, num_frames=num_frames)
    if pretrained is None:
        return build(config, seed)
    path = Path(pretrained).expanduser()
    if is_ours(path):
        return _checked(path, load_model(path), config)
    model = build(config, seed)
    if str(pretrained) in TAGS:
        import_checkpoint(model, _download(model.config.name))
        model.weights = f"MobileCLIP's weights ({pretrained}), temporal modules new"
        return model
    if not path.suffix and not path.exists():
        raise ConfigError(f"unknown weights {str(pretrained)!r}: a path, or one of {list(TAGS)}")
    import_checkpoint(model, path, partial=partial, rename=rename)
    return model


def is_ours(path: Path) -> bool:
    """Whether a file is one of :func:`save_model`.

    Raises:
        CheckpointError: a damaged safetensors file.
    """
    if path.suffix.lower() != ".safetensors" or not path.is_file():
        return False
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            return (file.metadata() or {}).get("format") == _FORMAT
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error


def _checked(path: Path, model: MobileViCLIP, expected: MobileViClipConfig) -> MobileViCLIP:
    config = model.config
    if (config.name, config.num_frames) != (expected.name, expected.num_frames):
        raise CheckpointError(
            f"{path} holds mobileviclip-{config.name} with {config.num_frames} frames, "
            f"not mobileviclip-{expected.name} with {expected.num_frames}"
        )
    return model


def _download(name: str) -> Path:
    """Download MobileCLIP-S0 from Apple, or S2 through open_clip."""
    from huggingface_hub import hf_hub_download

    try:
        with logger_level("huggingface_hub", logging.CRITICAL):  # its errors are raised, too
            if name == "tiny":
                return Path(hf_hub_download("apple/MobileCLIP-S0", "mobileclip_s0.pt"))
            import open_clip

            config = open_clip.get_pretrained_cfg("MobileCLIP-S2", "datacompdr")
            return Path(open_clip.download_pretrained(config))
    except Exception as error:  # hub clients raise many kinds; all mean the same to the user
        raise WeightsUnavailable(
            f"MobileCLIP's weights for mobileviclip-{name} can't be downloaded here; give a local checkpoint "
            "with --pretrained PATH, or ask for random weights with --pretrained none"
        ) from error
