"""Image classifiers of torchvision."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import PurePosixPath
from typing import Any, Final

from torch import nn

from ...errors import ConfigError
from .libraries import Library, Preprocessing, plain

__all__ = ["TorchvisionLibrary"]

_HEADS: Final = ("fc", "classifier", "head", "heads")
_WITHOUT_INIT: Final = ("googlenet", "inception_v3")  # their initialisation takes a minute


@cache
def _models() -> tuple[str, ...]:
    import torchvision

    return tuple(torchvision.models.list_models(module=torchvision.models))


def _weights(model: str) -> Any:
    import torchvision

    return torchvision.models.get_model_weights(model)


class TorchvisionLibrary(Library):
    """torchvision: features are the input of the network's last layer, its classifier."""

    name = "torchvision"

    def models(self) -> Sequence[str]:
        return _models()

    def tags(self, model: str) -> list[str]:
        return [str(weights.name) for weights in _weights(model)]

    def default_tag(self, model: str) -> str | None:
        tags = _weights(model)
        return str(tags.DEFAULT.name) if len(tags) else None

    def preprocessing(self, model: str, tag: str | None) -> Preprocessing:
        transform = _weights(model)[tag or self.default_tag(model)].transforms()
        config = {
            "resize": list(transform.resize_size),
            "crop": list(transform.crop_size),
            "interpolation": transform.interpolation.value,
            "antialias": bool(transform.antialias),
            "mean": list(transform.mean),
            "std": list(transform.std),
        }
        side, short = int(transform.crop_size[0]), int(transform.resize_size[0])
        mean, std, filtered = tuple(transform.mean), tuple(transform.std), str(transform.interpolation.value)
        return Preprocessing(plain(config), side, mean, std, short, filtered, transform)

    def build(self, model: str, tag: str | None) -> nn.Module:
        network = self._create(model, tag)
        _remove(network, _last_layer(network, model))
        return network

    def download(self, model: str, tag: str) -> nn.Module:
        import torchvision

        network = torchvision.models.get_model(model, weights=tag)
        _remove(network, _last_layer(network, model))
        return network  # type: ignore[no-any-return]

    def _create(self, model: str, tag: str | None) -> nn.Module:
        import torchvision

        options: dict[str, Any] = {"init_weights": False} if model in _WITHOUT_INIT else {}
        if model.startswith("vit_"):  # position embeddings are of the size of the pictures
            options["image_size"] = self.preprocessing(model, tag).side
        return torchvision.models.get_model(model, weights=None, **options)  # type: ignore[no-any-return]

    def classifier(self, model: str) -> tuple[str, ...]:
        import torch

        with torch.device("meta"):
            return (f"{_last_layer(self._create(model, None), model)}.",)

    def published_digest(self, model: str, tag: str) -> str:
        return PurePosixPath(str(_weights(model)[tag].url)).stem.rpartition("-")[2]


def _last_layer(network: nn.Module, model: str) -> str:
    """Name of the layer that gives the scores.

    Raises:
        ConfigError: there is none.
    """
    layers = [
        name
        for name, layer in network.named_modules()
        if name.partition(".")[0] in _HEADS and isinstance(layer, (nn.Linear, nn.Conv2d))
    ]
    if not layers:
        raise ConfigError(f"clip.model: torchvision:{model} has no classifier that could be left out")
    return str(layers[-1])


def _remove(network: nn.Module, name: str) -> None:
    """Replace a layer by the identity."""
    parent, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(parent), leaf, nn.Identity())
