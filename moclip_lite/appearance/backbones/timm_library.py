"""Image networks of timm."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from torch import nn

from ...errors import CheckpointError, ConfigError, unknown_name
from .libraries import Library, Preprocessing, plain

__all__ = ["TimmLibrary"]

_CONFIG = ("input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std")


def _timm() -> Any:
    import timm  # seconds to import

    return timm


@cache
def _models() -> tuple[str, ...]:
    return tuple(_timm().list_models())


@cache
def _all_tags() -> dict[str, list[str]]:
    """Model -> tags of published weights, timm's default first."""
    by_model: dict[str, list[str]] = {}
    for name in _timm().list_pretrained():
        model, _, tag = name.partition(".")
        by_model.setdefault(model, []).append(tag)
    return by_model


class TimmLibrary(Library):
    """timm: features are those of ``num_classes=0``, pooled as the network itself does."""

    name = "timm"

    def models(self) -> Sequence[str]:
        return _models()

    def split(self, name: str) -> tuple[str, str | None]:
        model, _, tag = name.partition(".")
        super().split(model)
        if tag and tag not in self.tags(model):
            raise ConfigError(unknown_name("clip.model", tag, self.tags(model) or ["none"]))
        return model, tag or None

    def tags(self, model: str) -> list[str]:
        return _all_tags().get(model, [])

    def default_tag(self, model: str) -> str | None:
        tag = _timm().get_pretrained_cfg(model).tag
        tags = self.tags(model)
        return tag if tag in tags else next(iter(tags), None)

    def preprocessing(self, model: str, tag: str | None) -> Preprocessing:
        config = _timm().get_pretrained_cfg(_full(model, tag))
        return _preprocessing({} if config is None else config.to_dict())

    def build(self, model: str, tag: str | None) -> nn.Module:
        network: nn.Module = _timm().create_model(_full(model, tag), pretrained=False, num_classes=0)
        return network

    def download(self, model: str, tag: str) -> nn.Module:
        # With its classifier: timm loads other weights than those of all tensors without strictness.
        network: Any = _timm().create_model(_full(model, tag), pretrained=True)
        network.reset_classifier(0)
        return network  # type: ignore[no-any-return]

    def classifier(self, model: str) -> tuple[str, ...]:
        config = _timm().get_pretrained_cfg(model)
        names = config.classifier if config is not None else None
        listed = (names,) if isinstance(names, str) else tuple(names or ())
        return (*(f"{name}." for name in listed), "pre_logits.")

    def published_digest(self, model: str, tag: str) -> str:
        url = str(_timm().get_pretrained_cfg(_full(model, tag)).url or "")
        digits = PurePosixPath(url).stem.rpartition("-")[2]
        return digits if len(digits) >= 8 and all(c in "0123456789abcdef" for c in digits) else ""

    def convert(self, network: nn.Module, state: dict[str, Any]) -> dict[str, Any] | None:
        function = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
        return None if function is None else dict(function(state, network))

    def described_beside(self, model: str, values: Mapping[str, Any]) -> Preprocessing | None:
        architecture, config = values.get("architecture"), values.get("pretrained_cfg")
        if not isinstance(architecture, str) or not isinstance(config, Mapping):
            return None
        if architecture != model:
            raise CheckpointError(f"holds {architecture}, asked for is timm:{model} (clip.model)")
        return _preprocessing(config)


def _full(model: str, tag: str | None) -> str:
    return f"{model}.{tag}" if tag else model


def _preprocessing(config: Mapping[str, Any]) -> Preprocessing:
    import timm.data

    library: Any = timm.data
    values = library.resolve_data_config({}, pretrained_cfg=dict(config))
    values = {name: values[name] for name in _CONFIG}
    channels, height, width = values["input_size"]
    if channels != 3 or height != width:
        raise ConfigError(
            f"clip.model: this network takes {channels}x{height}x{width} inputs, not square colour pictures"
        )
    transform = library.create_transform(**values, is_training=False)
    mean, std = (tuple(float(number) for number in values[name]) for name in ("mean", "std"))
    # timm.data.transforms_factory.transforms_imagenet_eval: "center" resizes the short side.
    short = math.floor(height / values["crop_pct"]) if values["crop_mode"] == "center" else None
    return Preprocessing(
        plain(values), int(height), mean, std, short, str(values["interpolation"]), transform
    )
