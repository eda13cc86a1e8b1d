"""The appearance encoder of an experiment: loaded when it is needed, known by digest before that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..appearance.create import make_encoder
from ..appearance.encoder import LazyEncoder
from ..appearance.settings import AppearanceSettings, no_text
from ..datasets.prompts import Prompts
from ..errors import ConfigError
from ..progress import Reporter
from ..storage.cache import FeatureCache
from ..storage.cache_keys import cache_key

if TYPE_CHECKING:
    import torch

    from ..appearance.encoder import AppearanceEncoder

__all__ = ["ExperimentEncoder"]


class ExperimentEncoder:
    """The frozen image encoder of an experiment.

    Args:
        settings: the section ``clip``.
        seed: ``run.seed``, which random weights are drawn by.
        cache: where digests of weights and text embeddings are kept.
        device: called for the device when the model is loaded.
        reporter: told what is loaded, and warned of random weights.
    """

    def __init__(
        self,
        settings: AppearanceSettings,
        seed: int,
        cache: FeatureCache,
        device: Callable[[], torch.device],
        reporter: Reporter,
    ) -> None:
        self._settings, self._seed, self._cache = settings, seed, cache
        self._device, self._reporter = device, reporter
        self._warned = False

    @cached_property
    def lazy(self) -> LazyEncoder:
        """The model with its digest and cost, loaded on first use."""
        seed = self._seed if self._settings.random else 0
        return LazyEncoder(self._settings, seed, self._cache, self._load)

    @property
    def identity(self) -> dict[str, str]:
        """Where appearance features come from: model, weights and their digest."""
        names = {"model": self._settings.model, "pretrained": self._settings.pretrained}
        return names | {"digest": self.lazy.digest}

    def warn_if_random(self) -> None:
        """Warn of random weights, once: features from the cache were made by them too."""
        if self.lazy.random and not self._warned:
            self._warned = True
            description = self.lazy.random
            if self._settings.random:
                description = (
                    f"{self._settings.model} has RANDOM weights, as asked for, "
                    f"drawn with run.seed={self._seed} (another seed means other features)"
                )
            self._reporter.warn(f"{description}: its features mean little")

    def require_text(self) -> None:
        """Refuse what needs text where the model has none.

        Raises:
            ConfigError: it has none.
        """
        if not self._settings.has_text:
            raise ConfigError(no_text(self._settings.model))

    def class_vectors(self, labels: Sequence[str], prompts: Prompts) -> npt.NDArray[np.float32]:
        """Text embeddings of class names, float32 [C, D], L2-normalised; kept in the cache.

        Raises:
            ConfigError, WeightsUnavailable, CheckpointError: the model is unavailable or has no text, or a
                class of the prompts is misspelt.
        """
        self.require_text()
        settings = {"weights": self.lazy.digest, "model": self._settings.model}
        key = cache_key("text", "", settings | {"sentences": prompts.check(labels).all_sentences(labels)})
        arrays = self._cache.get("text", key)
        if arrays is None:
            arrays = {"classes": self.lazy.encoder.class_vectors(labels, prompts)}
            self._cache.put("text", key, arrays)
        return np.asarray(arrays["classes"], np.float32)

    def _load(self) -> AppearanceEncoder:
        settings = self._settings
        weights = "random weights" if settings.random else settings.pretrained
        self._reporter.say(f"loading {settings.model} with {weights}")
        encoder = make_encoder(settings, self._seed, self._device())
        if not encoder.random:
            self._reporter.say(f"loaded {encoder.describe()}")
        return encoder
