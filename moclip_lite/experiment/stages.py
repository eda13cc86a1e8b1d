"""One training of a fold: skipped if its weights exist, else resumed or run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

import numpy as np
import torch
from torch import nn

from ..errors import CheckpointError
from ..fusion.features import HeadFeed
from ..fusion.heads.base import Head
from ..fusion.streamed import StreamedTable
from ..fusion.tables import FeatureTable
from ..fusion.training import fit_head
from ..parallel.ranks import agree, share, wait_for_all
from ..progress import Reporter
from ..results.fold_folder import FoldFolder
from ..storage.cache import FeatureCache
from ..storage.files import read_description
from ..streams import Stream
from ..training.checkpoint import Sources, load_arrays, load_weights, save_weights
from ..training.classification import Feed, fit, refuse_idle_scales
from ..training.loop import FitResult, Row, TrainingProgress
from ..training.schedule import plan_epochs
from ..training.settings import TrainSettings
from .settings.used import Meaning

__all__ = ["Stage", "Trainer"]

_RESULT: Final = "training result"  # array of a cache entry

_Run: TypeAlias = Callable[..., FitResult]  # of device and progress


@dataclass(frozen=True)
class Stage:
    """A training and where its weights are kept.

    Attributes:
        name: of the stage.
        folder: where its weights go.
        fingerprint: digest of all that decides the weights.
        labels: class names.
        seed: of its random choices.
        sources: what gives the features that it is trained on.
        kept: whether the run folder keeps the weights; else the cache alone does.
        meaning: settings that decide what the numbers mean that it sees.
        features: stage of the cache -> version of the features that it sees.
        fold: name of the division whose clips it is trained on.
    """

    name: str
    folder: FoldFolder
    fingerprint: str
    labels: tuple[str, ...]
    seed: int
    sources: Sources = field(default_factory=dict)
    kept: bool = True
    meaning: Meaning = field(default_factory=dict)
    features: Mapping[str, int] = field(default_factory=dict)
    fold: str = ""

    def save(self, module: nn.Module, result: FitResult) -> None:
        """Write the weights into the run folder, where it keeps them."""
        if not self.kept:
            return
        description = {
            "fingerprint": self.fingerprint,
            "settings": self.meaning,
            "features": self.features,
            "fold": self.fold,
            "result": vars(result),
        }
        save_weights(self.folder.weights(self.name), module, self.labels, description, self.sources)

    def load(self, module: nn.Module, cache: FeatureCache) -> FitResult | None:
        """Load weights of this very training: the run folder's, or those another run left in the cache."""
        weights = self.folder.weights(self.name)
        for path in (weights, self.folder.set_aside(self.name)) if self.kept else ():
            description = read_description(path)
            if description is None or description.get("fingerprint") != self.fingerprint:
                continue
            try:
                load_weights(path, module, self.labels)
                result = FitResult(**description["result"])
            except (CheckpointError, KeyError, TypeError):
                continue  # damaged: taken from the cache or trained again
            if path != weights and share().leads:
                os.replace(path, weights)
            return result
        return self._load_cached(module, cache)

    def _load_cached(self, module: nn.Module, cache: FeatureCache) -> FitResult | None:
        arrays = cache.get("trained", self.fingerprint)
        if arrays is None:
            return None
        result = FitResult(**json.loads(arrays.pop(_RESULT).tobytes()))
        try:
            load_arrays(cache.path("trained", self.fingerprint), arrays, module)
        except CheckpointError:  # of a network that has changed since: trained again
            return None
        if share().leads:
            self.save(module, result)
        return result

    def share(self, module: nn.Module, result: FitResult, cache: FeatureCache) -> None:
        """Leave the weights in the cache: the runs of a grid have trainings in common."""
        arrays = {name: value.detach().cpu().numpy() for name, value in module.state_dict().items()}
        arrays[_RESULT] = np.frombuffer(json.dumps(vars(result)).encode(), np.uint8)
        cache.put("trained", self.fingerprint, arrays)


class Trainer:
    """Runs trainings; skips those whose weights exist, and resumes interrupted ones.

    Args:
        cache: where the runs of a grid leave each other weights.
        device: called for the device to train on.
        reporter: told what happens.
        write_back: called after each training: the run folder may be a copy of one elsewhere.
    """

    def __init__(
        self,
        cache: FeatureCache,
        device: Callable[[], torch.device],
        reporter: Reporter,
        write_back: Callable[[], None],
    ) -> None:
        self._cache, self._device, self._reporter, self._write_back = cache, device, reporter, write_back

    def train(
        self, stage: Stage, network: nn.Module, feed: Feed, settings: TrainSettings, *, validates: bool = True
    ) -> FitResult:
        """Train a motion network; without validation its last weights are kept.

        Args:
            stage, network, feed, settings: the training.
            validates: see :func:`moclip_lite.training.classification.fit`.

        Raises:
            ConfigError: see :func:`moclip_lite.training.classification.refuse_idle_scales`.
        """
        refuse_idle_scales(network, settings)
        run = partial(fit, network, feed, settings, seed=stage.seed, validates=validates)
        measure = Stream.MOTION.validation_measure
        return self._train(stage, network, run, plan_epochs(settings, feed.steps).epochs, measure)

    def train_head(
        self,
        stage: Stage,
        head: Head,
        feed: HeadFeed,
        settings: TrainSettings,
        every: FeatureTable | StreamedTable | None,
    ) -> FitResult:
        """Train a head; see :func:`moclip_lite.fusion.training.fit_head`."""
        run = partial(fit_head, head, feed, settings, seed=stage.seed, every=every)
        measure = Stream.FUSION.validation_measure
        return self._train(stage, head, run, plan_epochs(settings, feed.steps).epochs, measure)

    def _train(self, stage: Stage, module: nn.Module, run: _Run, epochs: int, measure: str) -> FitResult:
        """Skip, resume or run a training, and keep its weights; `measure`: of its validation accuracy."""
        cache, leads = self._cache, share().leads
        # Another run of a grid may be at the same training; processes of one training follow the first.
        with cache.lock(stage.fingerprint) if leads else nullcontext():
            result = stage.load(module, cache) if leads else None
            if not agree([result is not None])[0]:
                return self._train_now(stage, module, run, epochs, measure)
            result = result or stage.load(module, cache)
            if result is None:
                raise CheckpointError(
                    f"{stage.folder.weights(stage.name)} is not seen by all processes; "
                    "they need one file system"
                )
            self._reporter.say(f"{stage.name}: already trained{_validation(result, measure)}")
        return result

    def _train_now(self, stage: Stage, module: nn.Module, run: _Run, epochs: int, measure: str) -> FitResult:
        state = stage.folder.state(stage.name)

        def on_epoch(row: Row) -> None:
            self._reporter.progress(f"train {stage.name}", int(row["epoch"]) + 1, epochs)

        progress = TrainingProgress(checkpoint=state, fingerprint=stage.fingerprint, on_epoch=on_epoch)
        result = run(device=self._device(), progress=progress)
        self._reporter.progress(f"train {stage.name}", epochs, epochs)
        if share().leads:
            stage.save(module, result)
            stage.share(module, result, self._cache)
            state.unlink(missing_ok=True)
            self._write_back()
        wait_for_all()
        self._reporter.say(_summary(stage.name, result, measure))
        return result


def _validation(result: FitResult, measure: str) -> str:
    accuracy = f"{result.best_accuracy:.1f} % on validation, {measure}"
    return f" ({accuracy})" if result.best_epoch >= 0 else ""


def _summary(name: str, result: FitResult, measure: str) -> str:
    """What a training gave, for people."""
    if result.best_epoch < 0:
        return f"{name}: trained {len(result.history)} epochs without validation, {result.seconds:.0f} s"
    return (
        f"{name}: {result.best_accuracy:.1f} % on validation, {measure} (epoch {result.best_epoch + 1} of "
        f"{len(result.history)}), {result.seconds:.0f} s"
    )
