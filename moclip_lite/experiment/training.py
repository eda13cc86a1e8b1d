"""The trainings of a fold: the motion network, then heads on cached features.

Each is skipped when its weights are there and were made from the same settings and clips.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from torch import nn

from ..datasets import Clip
from ..errors import CheckpointError
from ..fusion import build_head
from ..fusion.base import Head
from ..fusion.features import HeadFeed
from ..fusion.tables import FeatureTable
from ..fusion.training import fit_head
from ..motion.augment import RandomView
from ..motion.batches import MotionFeed
from ..motion.network import MotionNet, build_motion_net
from ..motion.pretrain import MaskedFeed, MaskedMotion
from ..parallel.ranks import SINGLE, Share, agree, share, wait_for_all
from ..results.run_folder import PRETRAINED, FoldFolder
from ..results.write import FoldResult
from ..storage.cache import FeatureCache
from ..storage.digest import digest_bytes
from ..streams import Stream
from ..training.checkpoint import Sources, load_arrays, load_weights, read_description, save_weights
from ..training.classification import Feed, fit
from ..training.device import seed_all
from ..training.loop import FitResult
from ..training.settings import TrainSettings
from .features import FoldFeatures
from .session import Session

__all__ = ["TrainedModels"]

_RESULT: Final = "training result"  # array of a cache entry


@dataclass(frozen=True)
class _Stage:
    """A training and where its weights are kept.

    Attributes:
        name: of the stage.
        folder: where its weights go.
        fingerprint: digest of all that decides the weights.
        labels: class names.
        sources: what gives the features that it is trained on.
    """

    name: str
    folder: FoldFolder
    fingerprint: str
    labels: tuple[str, ...]
    sources: Sources = field(default_factory=dict)

    def save(self, module: nn.Module, result: FitResult) -> None:
        """Write the weights into the run folder."""
        description = {"fingerprint": self.fingerprint, "result": vars(result)}
        save_weights(self.folder.weights(self.name), module, self.labels, description, self.sources)

    def load(self, module: nn.Module, cache: FeatureCache) -> FitResult | None:
        """Load weights of this very training: the run folder's, or those another run left in the cache."""
        weights = self.folder.weights(self.name)
        for path in (weights, self.folder.set_aside(self.name)):
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


class TrainedModels:
    """Models of a fold that are trained, where their weights are not there yet.

    Args:
        features: of the fold.
        folder: where weights go.
    """

    def __init__(self, features: FoldFeatures, folder: FoldFolder) -> None:
        self.features, self.folder = features, folder
        self.result = FoldResult(features.fold.name, notes=list(features.fold.notes))
        self.session: Session = features.session

    def motion_network(self) -> MotionNet:
        """Train the motion network, after its encoder on masked motion if the settings say so."""
        experiment, features = self.session.experiment, self.features
        motion, settings, seed = experiment.motion, experiment.train_motion, features.seed
        made_from = (motion.model_dump(mode="json"), settings.model_dump(mode="json"), seed)
        stage = self._stage(Stream.MOTION, features.fingerprint("motion", *made_from))
        seed_all(seed)
        network = build_motion_net(motion, len(features.labels))
        train, val = self._moving("train"), self._moving("val")
        view = RandomView(flip=motion.flip, min_side=motion.min_side, speed=motion.speed)
        feed = self._motion_feed(train, val or train, view, share(), experiment.run.loaders)
        if motion.pretrain_epochs:
            pretraining = self._stage(PRETRAINED, features.fingerprint(PRETRAINED, *made_from))
            masked = MaskedMotion(network, motion.frames)
            cache = self.session.cache
            known = pretraining.load(masked, cache)
            if stage.load(network, cache) is not None:
                if known is not None:
                    self._record(pretraining, known)
            else:
                plain = RandomView(flip=0, min_side=1, speed=1)
                windows = MaskedFeed(
                    feed, self._motion_feed(val or train, val or train, plain, SINGLE, 0), seed
                )
                short = {"epochs": motion.pretrain_epochs, "mixup": 0.0, "label_smoothing": 0.0}
                self._train(pretraining, masked, windows, settings.model_copy(update=short))
        self._train(stage, network, feed, settings)
        return network.to(self.session.device)

    def head(self, stream: Stream, tables: Mapping[str, FeatureTable]) -> Head:
        """Train a head on tables of features; chosen on validation."""
        experiment, features, train = self.session.experiment, self.features, tables["train"]
        fusion, settings, seed = experiment.fusion, experiment.train_head, features.seed
        arrays = [train.motion.numpy(), train.appearance.numpy()]
        seed_all(seed)
        dims = train.motion.shape[-1], train.appearance.shape[-1]
        name = experiment.head_of(stream)
        head = build_head(fusion, name, *dims, len(features.labels))
        if fusion.standardize:
            head.fit_statistics(train.motion, train.appearance)
        if head.from_text:
            head.start_from_text(torch.from_numpy(self.session.class_vectors))
            arrays.append(self.session.class_vectors)
        digest = digest_bytes(np.ascontiguousarray(array).tobytes() for array in arrays)
        sources = {str(s.value): str(d) for s, d in features.source_digests(stream.sources).items()}
        size = fusion.model_dump(mode="json", exclude={"head"})  # controls are the same beside every head
        made_from = (digest, sources, size, settings.model_dump(mode="json"), seed)
        stage = self._stage(stream, features.fingerprint(name, *made_from), sources)
        self._train(
            stage, head, HeadFeed(head, train, tables["val"], settings.batch, seed, share()), settings
        )
        return head.to(self.session.device)

    def _stage(self, name: str, fingerprint: str, sources: Sources | None = None) -> _Stage:
        return _Stage(name, self.folder, fingerprint, self.features.labels, sources or {})

    def _moving(self, part: str) -> list[Clip]:
        clips = self.features.clips(part, motion=True)
        return [clip for clip in clips if not self.features.store.empty(clip)]

    def _motion_feed(
        self, train: Sequence[Clip], val: Sequence[Clip], view: RandomView, part: Share, loaders: int
    ) -> MotionFeed:
        experiment, features = self.session.experiment, self.features
        return MotionFeed(
            features.store,
            train,
            val,
            features.labels,
            view=view,
            segments=min(experiment.motion.train_segments, experiment.motion.segments),
            batch=experiment.train_motion.batch,
            seed=features.seed,
            part=part,
            loaders=loaders,
        )

    def _train(self, stage: _Stage, module: nn.Module, feed: Feed, settings: TrainSettings) -> None:
        """Skip, resume or train a stage, and keep its weights."""
        cache, leads = self.session.cache, share().leads
        # Another run of a grid may be at the same training; processes of one training follow the first.
        with cache.lock(stage.fingerprint) if leads else nullcontext():
            result = stage.load(module, cache) if leads else None
            if agree([result is not None])[0]:
                result = result or stage.load(module, cache)
                if result is None:
                    raise CheckpointError(
                        f"{stage.folder.weights(stage.name)} is not seen by all processes; they need one "
                        "file system"
                    )
                self.session.reporter.say(
                    f"{stage.name}: already trained ({result.best_accuracy:.1f} % on validation)"
                )
            else:
                result = self._train_now(stage, module, feed, settings)
        self._record(stage, result)

    def _record(self, stage: _Stage, result: FitResult) -> None:
        self.result.training[stage.name] = vars(result)
        self.result.seconds[f"train_{stage.name}"] = result.seconds

    def _train_now(self, stage: _Stage, module: nn.Module, feed: Feed, settings: TrainSettings) -> FitResult:
        session, state = self.session, stage.folder.state(stage.name)

        def on_epoch(row: dict[str, float]) -> None:
            session.reporter.progress(f"train {stage.name}", int(row["epoch"]) + 1, settings.epochs)

        train: Callable[..., FitResult] = fit_head if isinstance(module, Head) else fit
        result = train(
            module,
            feed,
            settings,
            seed=self.features.seed,
            device=session.device,
            checkpoint=state,
            fingerprint=stage.fingerprint,
            on_epoch=on_epoch,
        )
        session.reporter.progress(f"train {stage.name}", settings.epochs, settings.epochs)
        if share().leads:
            stage.save(module, result)
            stage.share(module, result, session.cache)
            state.unlink(missing_ok=True)
        wait_for_all()
        session.reporter.say(
            f"{stage.name}: {result.best_accuracy:.1f} % on validation (epoch {result.best_epoch + 1} of "
            f"{len(result.history)}), {result.seconds:.0f} s"
        )
        return result
