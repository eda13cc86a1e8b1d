"""Frozen image networks of timm and torchvision as appearance encoders: pooled features, no text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from ...errors import CheckpointError, ConfigError, WeightsUnavailable, unknown_name
from ...mobileviclip.weights import RANDOM
from ...training.checkpoint import weights_digest
from ...training.costs import count_cost
from ...training.freeze import freeze
from ..encoder import AppearanceEncoder
from ..settings import no_text
from ..weights import BESIDE_TIMM, TIMM_FILES, sha256_of
from .libraries import DEFAULT_TAG, Library, Preprocessing
from .weights_file import LoadedFile, load_backbone

__all__ = ["BackboneEncoder"]

_SUFFIXES: Final = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar")
_SHOWN: Final = 3


class BackboneEncoder(AppearanceEncoder):
    """A frozen image network of a library, without its classifier.

    Args:
        model: "timm:NAME" (or NAME.TAG) or "torchvision:NAME".
        pretrained: a tag of that model (downloaded by the library), "default" for the library's own choice,
            the path of a local checkpoint (.safetensors, or a torch file that holds tensors only), or "none"
            for random weights.
        device: where the network runs.
        seed: of random weights.
        weights_of: the tag that a local checkpoint is of, for its preprocessing; None if all tags of the
            model agree, or the file's digest or the JSON file beside it identifies the tag.

    Raises:
        ConfigError: an unknown model or tag, a file whose tag must be named,
            or a network that gives no vector.
        WeightsUnavailable: the weights can't be downloaded.
        CheckpointError: the local checkpoint does not fit the network.
    """

    def __init__(
        self,
        model: str,
        pretrained: str,
        device: torch.device | None = None,
        seed: int = 0,
        weights_of: str | None = None,
    ) -> None:
        self.model_name, self.pretrained, self.seed, self.weights_of = model, pretrained, seed, weights_of
        self.device = device or torch.device("cpu")
        prefix, _, name = model.partition(":")
        self._library: Library = _load_library(prefix)
        self._name, named = self._library.split(name)
        self._file: LoadedFile | None = None
        self._known_by = ""
        network, self.preprocessing = self._create(named)
        self._net: nn.Module = freeze(network.to(self.device))
        self.dim  # noqa: B018  (refuses a network that gives no vector)

    def _create(self, named: str | None) -> tuple[nn.Module, Preprocessing]:
        """The network and its preprocessing; `named` is the tag within the model's name."""
        library, name = self._library, self._name
        tag = self._agreed_tag(named)
        if self.random:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                return library.build(name, tag), library.preprocessing(name, tag)
        path = Path(self.pretrained).expanduser()
        if path.suffix.lower() in _SUFFIXES or path.is_file():
            if not path.is_file():
                raise CheckpointError(f"{path}: there is no such checkpoint (clip.pretrained)")
            preprocessing, tag = self._of_file(path, tag)
            with torch.random.fork_rng(devices=[]):
                network = library.build(name, tag)
            self._file = load_backbone(library, name, network, path)
            return network, preprocessing
        return self._published(tag)

    def _agreed_tag(self, named: str | None) -> str | None:
        """The tag that the model's name or ``clip.weights_of`` holds.

        Raises:
            ConfigError: unknown, or they contradict each other.
        """
        if self.weights_of is None:
            return named
        if self.random:
            raise ConfigError(
                f"clip.weights_of={self.weights_of} says what a checkpoint file is, not random weights"
            )
        if self.weights_of not in self._library.tags(self._name):
            tags = self._library.tags(self._name)
            raise ConfigError(unknown_name("clip.weights_of", self.weights_of, tags or [RANDOM]))
        if named not in (None, self.weights_of):
            raise ConfigError(
                f"clip.model names {named} and clip.weights_of {self.weights_of}; give one of them"
            )
        return self.weights_of

    def _published(self, named: str | None) -> tuple[nn.Module, Preprocessing]:
        library, name, tags = self._library, self._name, self._library.tags(self._name)
        tag = named or library.default_tag(name) if self.pretrained == DEFAULT_TAG else self.pretrained
        if tag is None:
            raise ConfigError(
                f"{self.model_name} has no published weights; give a file with clip.pretrained=PATH, "
                "or ask for random weights with clip.pretrained=none"
            )
        if tag not in tags:
            raise ConfigError(unknown_name("clip.pretrained", tag, [*tags, DEFAULT_TAG, RANDOM]))
        if named not in (None, tag):
            raise ConfigError(
                f"clip.model or clip.weights_of names {named} and clip.pretrained {tag}; give one of them"
            )
        try:
            network = library.download(name, tag)
        except Exception as error:  # hub clients raise many classes
            raise WeightsUnavailable(
                f"the weights {self.model_name}/{tag} can't be downloaded here; give a local checkpoint with "
                f"--pretrained PATH --weights-of {tag}, or ask for random weights with --pretrained none"
            ) from error
        self._known_by = f"{library.name}'s {tag}"
        return network, library.preprocessing(name, tag)

    def _of_file(self, path: Path, tag: str | None) -> tuple[Preprocessing, str | None]:
        """Preprocessing of the weights in a file, and the tag that it is of if that is known.

        Raises:
            ConfigError: the model's tags differ and none is named.
            CheckpointError: the file beside it is of another model.
        """
        library, name = self._library, self._name
        if tag is not None:
            self._known_by = f"{tag}, which is named,"
            return library.preprocessing(name, tag), tag
        if (beside := self._beside(path)) is not None:
            self._known_by = str(path.parent / BESIDE_TIMM)
            return beside, None
        tags = library.tags(name)
        digests = {each: library.published_digest(name, each) for each in tags}
        if any(digests.values()):
            file_digest = sha256_of(path)
            for each, digest in digests.items():
                if digest and file_digest.startswith(digest):
                    self._known_by = f"its digest ({each})"
                    return library.preprocessing(name, each), each
        by_config: dict[str, tuple[Preprocessing, list[str]]] = {}
        for each in tags:
            preprocessing = library.preprocessing(name, each)
            by_config.setdefault(json.dumps(preprocessing.config), (preprocessing, []))[1].append(each)
        if len(by_config) > 1:
            listed = "; ".join(
                f"{', '.join(names)} ({preprocessing.summary()})"
                for preprocessing, names in by_config.values()
            )
            raise ConfigError(
                f"{path} does not say how it was trained, "
                f"and the weights of {self.model_name} differ in that; name the tag that it is of "
                f"(or was trained like) with --weights-of TAG (clip.weights_of): {listed}"
            )
        if not by_config:
            self._known_by = f"{library.name}'s defaults for {name}"
            return library.preprocessing(name, None), None
        ((preprocessing, names),) = by_config.values()
        self._known_by = f"all tags of {name}" if len(names) > 1 else f"the only tag of {name}, {names[0]},"
        return preprocessing, names[0]

    def _beside(self, path: Path) -> Preprocessing | None:
        file = path.parent / BESIDE_TIMM
        if path.name not in TIMM_FILES or not file.is_file():
            return None
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
            return self._library.described_beside(self._name, values)
        except CheckpointError as error:
            raise CheckpointError(f"{file}: {path.name} {error}") from error
        except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise CheckpointError(f"{file} can't be read as a description of {path.name}") from error

    @property
    def random(self) -> bool:
        return self.pretrained == RANDOM

    @property
    def has_text(self) -> bool:
        return False

    def describe(self) -> str:
        """Model and weights in words, for a file how its tensors are named and used."""
        if self.random:
            return f"{self.model_name} (random weights, seed {self.seed})"
        words = self.pretrained
        if self._file is not None:
            words += f", {self._file.layout}" if self._file.layout else ""
            if self._file.unused:
                some = ", ".join(self._file.unused[:_SHOWN])
                words += f", {len(self._file.unused)} tensors apart from the backbone left out ({some})"
        return f"{self.model_name} ({words}, used as {self._known_by} says: {self.preprocessing.summary()})"

    @property
    def network(self) -> nn.Module:
        return self._net

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """Library, name and preprocessing."""
        return {"library": self._library.name, "name": self._name, **self.preprocessing.config}

    @cached_property
    def weights_digest(self) -> str:
        return weights_digest(self._net, self.configuration)

    def frame_cost(self) -> dict[str, Any]:
        return count_cost(self._net, [self._blank()])

    def _blank(self) -> Tensor:
        side = self.preprocessing.side
        return torch.zeros(1, 3, side, side, device=self.device)

    @cached_property
    def dim(self) -> int:
        try:
            with torch.inference_mode():
                features = self._net(self._blank())
            shape = tuple(features.shape)
        except Exception as error:  # networks for other inputs raise many classes
            raise ConfigError(f"clip.model={self.model_name} can't take a picture ({error})") from error
        if len(shape) != 2:
            raise ConfigError(
                f"clip.model={self.model_name} gives {list(shape)} for a picture, "
                "not a vector; choose a model with pooled features"
            )
        return int(shape[1])

    def prepare(self, pictures: npt.NDArray[np.uint8]) -> Tensor:
        """Preprocess as the library does for these weights: uint8 [N, H, W, 3] -> float32 [N, 3, S, S]."""
        return torch.stack([self.preprocessing.apply(Image.fromarray(picture)) for picture in pictures])

    @torch.inference_mode()
    def encode_prepared(self, batch: Tensor) -> npt.NDArray[np.float32]:
        """Encode preprocessed pictures: float32 [N, 3, S, S] -> [N, dim], not normalised."""
        return np.asarray(self._net(batch.to(self.device)).float().cpu().numpy(), np.float32)

    def encode_text(self, sentences: Sequence[str]) -> NoReturn:
        """Such a network has no text.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(no_text(self.model_name))


def _load_library(name: str) -> Library:
    """The library of a prefix: "timm" or "torchvision"."""
    if name == "timm":
        from .timm_library import TimmLibrary

        return TimmLibrary()
    from .torchvision_library import TorchvisionLibrary

    return TorchvisionLibrary()
