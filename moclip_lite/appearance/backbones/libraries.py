"""Interface of libraries of image networks: names, tags, preprocessing, networks without classifier."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn

from ...errors import ConfigError, unknown_name

__all__ = ["DEFAULT_TAG", "Library", "Preprocessing"]

DEFAULT_TAG = "default"
"""Value of ``clip.pretrained`` for the tag that a library itself takes by default."""


@dataclass(frozen=True)
class Preprocessing:
    """What a network expects of pictures.

    Attributes:
        config: plain values that decide the result, for keys, digests and people.
        side: of the square pictures that the network sees.
        mean, std: of a channel, for values in 0..1.
        short_side: the short side is resized to it and the centre cut out;
            None where pictures are resized otherwise.
        interpolation: of the resizing.
        apply: PIL picture -> float32 [3, side, side], normalised.
    """

    config: Mapping[str, Any]
    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    short_side: int | None
    interpolation: str
    apply: Callable[[Any], Tensor] = field(compare=False, repr=False)

    def summary(self) -> str:
        """In words: "224x224, bicubic, crop_pct 0.875, mean 0.5 0.5 0.5, std 0.5 0.5 0.5"."""
        mean, std = (" ".join(f"{number:.3g}" for number in numbers) for numbers in (self.mean, self.std))
        shown = {name: value for name, value in self.config.items() if name not in ("mean", "std")}
        rest = ", ".join(f"{name} {_words(value)}" for name, value in shown.items())
        return f"{rest}, mean {mean}, std {std}"


def _words(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


class Library(ABC):
    """A library of image networks.

    Attributes:
        name: prefix of ``clip.model``.
    """

    name: ClassVar[str]

    @abstractmethod
    def models(self) -> Sequence[str]:
        """Names of all models."""

    @abstractmethod
    def tags(self, model: str) -> list[str]:
        """Tags of a model's published weights."""

    @abstractmethod
    def default_tag(self, model: str) -> str | None:
        """The tag that the library takes by default; None if there are no published weights."""

    @abstractmethod
    def preprocessing(self, model: str, tag: str | None) -> Preprocessing:
        """Preprocessing of a tag's weights; of the architecture alone for None."""

    @abstractmethod
    def build(self, model: str, tag: str | None) -> nn.Module:
        """The network without its classifier, of random weights: [N, 3, S, S] -> [N, D].

        Args:
            model: its name.
            tag: where the architecture depends on it (the size of pictures).
        """

    @abstractmethod
    def download(self, model: str, tag: str) -> nn.Module:
        """The network without its classifier, with published weights."""

    @abstractmethod
    def classifier(self, model: str) -> tuple[str, ...]:
        """Prefixes of the names of the classifier's tensors, which files hold and the network lacks."""

    @abstractmethod
    def published_digest(self, model: str, tag: str) -> str:
        """First digits of the SHA-256 of a tag's file, from its address; "" if unknown."""

    def convert(self, network: nn.Module, state: dict[str, Any]) -> dict[str, Any] | None:
        """Tensors renamed by the library's own converter for foreign checkpoints; None without one."""
        return None

    def described_beside(self, model: str, values: Mapping[str, Any]) -> Preprocessing | None:
        """Preprocessing from the JSON file beside weights in the library's repositories; None if it is none.

        Raises:
            CheckpointError: of another model.
        """
        return None

    def split(self, name: str) -> tuple[str, str | None]:
        """(model, tag that the name itself holds).

        Raises:
            ConfigError: an unknown model.
        """
        if name not in self.models():
            raise ConfigError(unknown_name("clip.model", f"{self.name}:{name}", self._prefixed()))
        return name, None

    def _prefixed(self) -> list[str]:
        return [f"{self.name}:{model}" for model in self.models()]


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values as JSON holds them."""
    return dict(json.loads(json.dumps(values, default=str)))
