"""The training stages of one fold: motion network, then heads on cached features.

Each stage is skipped when its weights are there and were made from the same settings and clips.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..appearance.zero_shot import unit
from ..datasets import Clip, Fold
from ..errors import CheckpointError
from ..fusion import build_head
from ..fusion.base import Head
from ..fusion.features import FeatureTable, HeadFeed
from ..fusion.training import fit_head
from ..motion.augment import RandomView
from ..motion.batches import MotionFeed
from ..motion.network import MotionNet, build_motion_net
from ..motion.pretrain import MaskedFeed, MaskedMotion
from ..motion.scores import motion_scores
from ..motion.store import MotionStore
from ..parallel.ranks import (
    SINGLE,
    Share,
    agree,
    share,
    wait_for_all,
)
from ..results.run_folder import set_aside
from ..storage.cache import FeatureCache
from ..storage.cache_keys import cache_key
from ..storage.digest import digest_bytes
from ..training.checkpoint import (
    Sources,
    load_arrays,
    load_weights,
    read_description,
    save_weights,
    weights_digest,
)
from ..training.loop import (
    Feed,
    FitResult,
    fit,
    seed_all,
)
from ..training.settings import TrainSettings
from .session import Workspace, no_tick

__all__ = [
    "SOURCES",
    "FoldInputs",
    "appearance_features",
    "motion_table",
    "train_head",
    "train_motion",
]


_RESULT: Final = "training result"

SOURCES: Final[dict[str, tuple[str, ...]]] = {
    "appearance": ("encoder",),
    "appearance_frame": ("encoder",),
    "motion_head": ("motion_network",),
    "fusion": ("motion_network", "encoder"),
}
"""What each head looks at: its weights belong to these."""


class FoldInputs:
    """A fold's clips as far as both streams could read them."""

    def __init__(
        self, fold: Fold, labels: Sequence[str], motion: dict[str, str], clip: dict[str, str]
    ) -> None:
        self.name, self.labels = fold.name, tuple(labels)
        self.motion, self.clip = motion, clip
        self.motion_network: str | None = None  # digest, once it is trained or loaded
        self._fold = fold

    def part(self, name: str, *, motion: bool, clip: bool) -> list[Clip]:
        """Clips of "train", "val" or "test" that have what is asked for."""
        clips: tuple[Clip, ...] = getattr(self._fold, name)
        return [
            c for c in clips if (not motion or c.name in self.motion) and (not clip or c.name in self.clip)
        ]

    def fingerprint(self, *settings: Any) -> str:
        """Digest of the settings, labels and the motion of all train and validation clips."""
        rows = [
            [part, c.name, c.label, self.motion.get(c.name)]
            for part in ("train", "val")
            for c in getattr(self._fold, part)
        ]
        return cache_key("trained", "", {"settings": settings, "labels": self.labels, "clips": rows})


@dataclass(frozen=True)
class _Stage:
    """A training: its name, where its weights go, what it is made from, its labels and whose features it learns."""

    name: str
    folder: Path
    fingerprint: str
    labels: tuple[str, ...]
    sources: Sources = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.safetensors"

    def keep(self, module: nn.Module, result: FitResult) -> None:
        description = {"fingerprint": self.fingerprint, "result": vars(result)}
        save_weights(self.path, module, self.labels, description, self.sources)

    def finished(self, module: nn.Module, cache: FeatureCache) -> FitResult | None:
        """Load weights of this very training: the run folder's, or those another run left in the cache."""
        for path in (self.path, set_aside(self.path)):
            description = read_description(path)
            if description is None or description.get("fingerprint") != self.fingerprint:
                continue
            try:
                load_weights(path, module, self.labels)
                result = FitResult(**description["result"])
            except (CheckpointError, KeyError, TypeError):
                continue  # damaged: taken from the cache or trained again
            if path != self.path and share().leads:
                os.replace(path, self.path)
            return result
        arrays = cache.get("trained", self.fingerprint)
        if arrays is None:
            return None
        result = FitResult(**json.loads(arrays.pop(_RESULT).tobytes()))
        try:
            load_arrays(cache.path("trained", self.fingerprint), arrays, module)
        except CheckpointError:  # of a network that has changed since: trained again
            return None
        if share().leads:
            self.keep(module, result)
        return result

    def share(self, module: nn.Module, result: FitResult, cache: FeatureCache) -> None:
        """Leave the weights in the cache: the runs of a grid have trainings in common."""
        arrays = {name: value.detach().cpu().numpy() for name, value in module.state_dict().items()}
        arrays[_RESULT] = np.frombuffer(json.dumps(vars(result)).encode(), np.uint8)
        cache.put("trained", self.fingerprint, arrays)


def _train(
    space: Workspace, stage: _Stage, module: nn.Module, feed: Feed, settings: TrainSettings
) -> FitResult:
    """Skip, resume or train a stage, and keep its weights."""
    say, part = space.reporter.say, share()
    # Another run of a grid may be at the same training; processes of one training follow the first.
    with space.cache.lock(stage.fingerprint) if part.leads else nullcontext():
        done = stage.finished(module, space.cache) if part.leads else None
        if agree([done is not None])[0]:
            done = done or stage.finished(module, space.cache)
            if done is None:
                raise CheckpointError(f"{stage.path} is not seen by all processes; they need one file system")
            say(f"{stage.name}: already trained ({done.best_accuracy:.1f} % on validation)")
            return done
        return _train_now(space, stage, module, feed, settings)


def _train_now(
    space: Workspace, stage: _Stage, module: nn.Module, feed: Feed, settings: TrainSettings
) -> FitResult:
    state = stage.folder / "state" / f"{stage.name}.safetensors"

    def on_epoch(row: dict[str, float]) -> None:
        space.reporter.progress(f"train {stage.name}", int(row["epoch"]) + 1, settings.epochs)

    train: Callable[..., FitResult] = fit_head if isinstance(module, Head) else fit
    result = train(
        module, feed, settings, seed=space.experiment.run.seed, device=space.device,
        checkpoint=state, fingerprint=stage.fingerprint, on_epoch=on_epoch,
    )  # fmt: skip
    space.reporter.progress(f"train {stage.name}", settings.epochs, settings.epochs)
    if share().leads:
        stage.keep(module, result)
        stage.share(module, result, space.cache)
        state.unlink(missing_ok=True)
    wait_for_all()
    space.reporter.say(
        f"{stage.name}: {result.best_accuracy:.1f} % on validation (epoch {result.best_epoch + 1} of "
        f"{len(result.history)}), {result.seconds:.0f} s"
    )
    return result


def train_motion(
    space: Workspace, store: MotionStore, inputs: FoldInputs, folder: Path
) -> tuple[MotionNet, FitResult]:
    """Train the motion network of a fold; chosen on validation."""
    experiment = space.experiment
    m, t, seed = experiment.motion, experiment.train_motion, experiment.run.seed
    train = [c for c in inputs.part("train", motion=True, clip=False) if not store.empty(c)]
    val = [c for c in inputs.part("val", motion=True, clip=False) if not store.empty(c)]
    made_from = (m.model_dump(mode="json"), t.model_dump(mode="json"), seed)
    fingerprint = inputs.fingerprint("motion", *made_from)
    seed_all(seed)
    model = build_motion_net(m, len(inputs.labels))

    def feed_of(clips: list[Clip], view: RandomView, part: Share, loaders: int) -> MotionFeed:
        return MotionFeed(
            store, clips, val or train, inputs.labels, view=view, segments=min(m.train_segments, m.segments),
            batch=t.batch, seed=seed, part=part, loaders=loaders,
        )  # fmt: skip

    view = RandomView(flip=m.flip, min_side=m.min_side, speed=m.speed)
    feed = feed_of(train, view, share(), experiment.run.loaders)
    stage = _Stage("motion", folder, fingerprint, inputs.labels)
    if m.pretrain_epochs and stage.finished(model, space.cache) is None:
        plain = feed_of(val or train, RandomView(flip=0, min_side=1, speed=1), SINGLE, 0)
        settings = t.model_copy(update={"epochs": m.pretrain_epochs, "mixup": 0.0, "label_smoothing": 0.0})
        mark = inputs.fingerprint("motion_pretrained", *made_from)
        before = _Stage("motion_pretrained", folder, mark, inputs.labels)
        _train(space, before, MaskedMotion(model, m.frames), MaskedFeed(feed, plain, seed), settings)
    result = _train(space, stage, model, feed, t)
    return model.to(space.device), result


def motion_table(
    space: Workspace,
    model: MotionNet,
    store: MotionStore,
    inputs: FoldInputs,
    clips: Sequence[Clip],
    tick: Callable[[], None] = no_tick,
) -> tuple[dict[str, npt.NDArray[np.float32]], dict[str, npt.NDArray[np.float32]]]:
    """Tokens [T, D] and class probabilities [C] of clips, by name, through the cache.

    Clips without motion are absent. `tick` is called after each clip that is computed.
    """
    test = space.experiment.test
    inputs.motion_network = weights_digest(model)
    settings = {
        "net": space.experiment.motion.net,
        "weights": inputs.motion_network,
        "segments": test.segments,
        "crops": test.crops,
        "flips": test.flips,
    }
    keys = {c.name: cache_key("motion_tokens", inputs.motion[c.name], settings) for c in clips}
    moving = [c for c in clips if not store.empty(c)]
    features: dict[str, npt.NDArray[np.float32]] = {}
    scores: dict[str, npt.NDArray[np.float32]] = {}
    absent = []
    for clip in moving:
        arrays = space.cache.get("motion_tokens", keys[clip.name])
        if arrays is None:
            absent.append(clip)
        else:
            features[clip.name], scores[clip.name] = arrays["tokens"], arrays["scores"]
    own = share().of(absent)
    for done, clip in enumerate(own, start=1):
        # Clip by clip: in a batch with others the last bits would depend on which others are still to do.
        feature, score = (rows[0] for rows in motion_scores(model, store, [clip], test, space.device))
        space.cache.put("motion_tokens", keys[clip.name], {"tokens": feature, "scores": score})
        features[clip.name], scores[clip.name] = feature, score
        tick()
        space.reporter.progress("motion features", done, len(own))
    wait_for_all()
    for clip in absent:
        if clip.name not in scores:  # another process' part
            arrays = space.cache.get("motion_tokens", keys[clip.name])
            if arrays is None:
                raise CheckpointError(f"the motion features of {clip.name} are not seen by all processes")
            features[clip.name], scores[clip.name] = arrays["tokens"], arrays["scores"]
    return features, scores


def appearance_features(
    space: Workspace, inputs: FoldInputs, clips: Sequence[Clip]
) -> npt.NDArray[np.float32]:
    """float32 [N, frames, D] of clips, normalised if the configuration says so; zeros where a file has none."""
    file = space.feature_file
    if file is not None:
        held = file.appearance
        out = np.zeros((len(clips), 1, 1), np.float32) if held is None else held[file.rows(clips)]
    else:
        out = np.stack([_cached_appearance(space, inputs, clip) for clip in clips])
    if space.experiment.clip.normalize:
        out = unit(out)
    return np.asarray(out, np.float32)


def _cached_appearance(space: Workspace, inputs: FoldInputs, clip: Clip) -> npt.NDArray[np.float32]:
    arrays = space.cache.get("clip", inputs.clip[clip.name])
    if arrays is None:  # damaged: made again
        inputs.clip |= space.extract_appearance([clip]).keys
        arrays = space.cache.get("clip", inputs.clip[clip.name])
        if arrays is None:
            raise CheckpointError(f"the cache entry of {clip.name} can't be made again")
    return np.asarray(arrays["features"], np.float32)


def train_head(
    space: Workspace, name: str, stage: str, tables: dict[str, FeatureTable], inputs: FoldInputs, folder: Path
) -> tuple[Head, FitResult]:
    """Train a head on cached features; chosen on validation."""
    experiment = space.experiment
    f, t, seed = experiment.fusion, experiment.train_head, experiment.run.seed
    train = tables["train"]
    parts = [train.motion.numpy(), train.appearance.numpy()]
    seed_all(seed)
    head = build_head(f, name, train.motion.shape[-1], train.appearance.shape[-1], len(inputs.labels))
    if f.standardize:
        head.fit_statistics(train.motion, train.appearance)
    if head.from_text:
        head.start_from_text(torch.from_numpy(space.class_vectors))
        parts.append(space.class_vectors)
    digest = digest_bytes(np.ascontiguousarray(part).tobytes() for part in parts)
    sources = {
        source: str(inputs.motion_network if source == "motion_network" else space.encoder_identity["digest"])
        for source in SOURCES[stage]
    }
    size = f.model_dump(mode="json", exclude={"head"})  # controls are the same beside every head
    fingerprint = inputs.fingerprint(name, digest, sources, size, t.model_dump(mode="json"), seed)
    feed = HeadFeed(head, train, tables["val"], t.batch, seed, share())

    made = _Stage(stage, folder, fingerprint, inputs.labels, sources)
    result = _train(space, made, head, feed, t)
    return head.to(space.device), result
