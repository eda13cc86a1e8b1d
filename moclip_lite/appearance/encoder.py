"""Interface of the frozen appearance encoders, and an encoder that is loaded when it is needed."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import CheckpointError
from ..storage.cache import FeatureCache
from ..storage.cache_keys import stage_versions
from ..storage.digest import digest_bytes, digest_file
from ..storage.files import cache_access, read_json, write_json
from .settings import AppearanceSettings
from .weights import description_digest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..datasets.prompts import Prompts

__all__ = ["AppearanceEncoder", "LazyEncoder"]


class AppearanceEncoder(ABC):
    """A frozen model that encodes pictures, and where it has text sentences, as vectors of one space.

    Attributes:
        model_name: of the model, as in ``clip.model``.
        pretrained: tag, path of a checkpoint, or "none" for random weights.
        device: where the model runs.
    """

    model_name: str
    pretrained: str
    device: torch.device

    @property
    @abstractmethod
    def random(self) -> bool:
        """Whether weights are random."""

    @abstractmethod
    def describe(self) -> str:
        """Model and weights in words."""

    @property
    @abstractmethod
    def network(self) -> Any:
        """The frozen model."""

    @property
    def has_text(self) -> bool:
        """Whether the model encodes sentences."""
        return True

    @property
    @abstractmethod
    def configuration(self) -> dict[str, Any]:
        """Plain values that decide the features besides architecture and weights."""

    @property
    @abstractmethod
    def weights_digest(self) -> str:
        """Digest of all weights and of :attr:`configuration`, for cache keys."""

    @abstractmethod
    def frame_cost(self) -> dict[str, Any]:
        """Parameters of the image encoder and GFLOPs for one frame."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of a feature."""

    @abstractmethod
    def prepare(self, pictures: npt.NDArray[np.uint8]) -> Tensor:
        """Preprocess pictures: uint8 [N, H, W, 3] -> float32 [N, 3, S, S]."""

    @abstractmethod
    def encode_prepared(self, batch: Tensor) -> npt.NDArray[np.float32]:
        """Encode preprocessed pictures: float32 [N, 3, S, S] -> [N, dim]; [clips, dim] by a video model."""

    @abstractmethod
    def encode_text(self, sentences: Sequence[str]) -> npt.NDArray[np.float32]:
        """Encode sentences: float32 [N, dim], L2-normalised.

        Raises:
            WeightsUnavailable: the model's tokenizer is unavailable.
            ConfigError: the model has no text.
        """

    def features(self, batch: Tensor) -> npt.NDArray[np.float32]:
        """The same as :meth:`encode_prepared`, of finite numbers.

        Raises:
            CheckpointError: the weights give others.
        """
        return self._finite(self.encode_prepared(batch), "features")

    def encode_images(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Preprocess and encode pictures: uint8 [N, H, W, 3] -> float32 [N, dim].

        Raises:
            CheckpointError: the weights give features that are not finite.
        """
        return self.features(self.prepare(pictures))

    def _finite(self, rows: npt.NDArray[np.float32], what: str) -> npt.NDArray[np.float32]:
        if not np.isfinite(rows).all():
            raise CheckpointError(
                f"{self.model_name} with the weights {self.pretrained} gives {what} that are not finite "
                "numbers: the weights are damaged, or made for other operations"
            )
        return rows

    def class_vectors(self, labels: Sequence[str], prompts: Prompts) -> npt.NDArray[np.float32]:
        """Text embedding of each label, the normalised mean over its sentences: float32 [C, dim].

        Raises:
            WeightsUnavailable, ConfigError: see :meth:`encode_text`.
            CheckpointError: the weights give embeddings that are not finite.
        """
        rows = []
        for label in labels:
            sentences = self.encode_text(prompts.sentences(label))
            mean = self._finite(sentences, "text embeddings").mean(axis=0)
            rows.append(mean / np.linalg.norm(mean))
        return np.stack(rows).astype(np.float32)


class LazyEncoder:
    """An encoder that is loaded when its model is needed; what depends on its weights is remembered.

    Digest and cost are kept beside the cache, so that a run with nothing to compute does not load the model.

    Args:
        settings: model and weights.
        seed: of random weights.
        cache: its folder holds the remembered values.
        load: loads the encoder.

    Attributes:
        seed: of random weights.
    """

    def __init__(
        self,
        settings: AppearanceSettings,
        seed: int,
        cache: FeatureCache,
        load: Callable[[], AppearanceEncoder],
    ) -> None:
        self._load = load
        self._root = cache.root
        self.seed = seed
        self._identity: list[Any] = [settings.encoder_arguments(seed), stage_versions("encoder")]
        weights = Path(settings.pretrained).expanduser()
        if weights.is_file():
            self._identity += [digest_file(weights), description_digest(weights)]

    @cached_property
    def encoder(self) -> AppearanceEncoder:
        """The encoder, loaded on first use."""
        return self._load()

    @property
    def digest(self) -> str:
        """Digest of the weights."""
        return str(self._facts["digest"])

    @property
    def random(self) -> str:
        """Description of the random weights; empty if no weights are random."""
        return str(self._facts["random"])

    @property
    def cost(self) -> dict[str, Any]:
        """Parameters of the image encoder and GFLOPs for one frame."""
        return dict(self._facts["cost"])

    @cached_property
    def _facts(self) -> dict[str, Any]:
        """Digest, cost and random weights in words, from the remembered file or from the loaded encoder."""
        file = self._root / "weights" / f"{digest_bytes([json.dumps(self._identity).encode()])}.json"
        try:
            facts = read_json(file)
            if facts["identity"] == self._identity:
                return {
                    "digest": str(facts["digest"]),
                    "cost": dict(facts["cost"]),
                    "random": str(facts["random"]),
                }
        except (CheckpointError, KeyError, TypeError, ValueError):
            pass  # absent or damaged: written again below
        encoder = self.encoder
        facts = {
            "digest": encoder.weights_digest,
            "cost": encoder.frame_cost(),
            "random": encoder.describe() if encoder.random else "",
        }
        with cache_access(self._root):
            write_json(file, {"identity": self._identity, **facts})
        return facts
