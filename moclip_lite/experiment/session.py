"""What the stages of an experiment share: its data, cache, encoder and device."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..appearance.extract import LazyEncoder, extract_appearance
from ..datasets import (
    Clip,
    Fold,
    SyntheticSpec,
    VideoDataset,
    checked,
    generate,
    load_folder,
    load_ucf101,
    with_groups,
)
from ..datasets.extraction import ExtractReport, Progress, content_digests
from ..datasets.prompts import read_prompts
from ..errors import ConfigError
from ..motion.extract import extract_motion
from ..parallel.pool import default_workers
from ..parallel.ranks import share, wait_for_all
from ..progress import Reporter, Silent
from ..storage.cache import FeatureCache
from ..storage.cache_keys import cache_key
from .config import Experiment, with_absolute_paths
from .feature_file import FeatureFile, load_features
from .folds import divide, divide_features, file_settings

if TYPE_CHECKING:
    import torch

    from ..appearance.open_clip import AppearanceEncoder

__all__ = ["Workspace", "make_encoder", "no_tick"]


def no_tick() -> None:
    """Nobody counts the parts of a stage's work."""


def make_encoder(experiment: Experiment, device: torch.device) -> AppearanceEncoder:
    """The CLIP model that the configuration names.

    Raises:
        ConfigError, WeightsUnavailable, CheckpointError: it can't be had.
    """
    clip = experiment.clip
    if clip.video:
        if clip.weights_of is not None:
            raise ConfigError(f"clip.weights_of names a tag of open_clip; {clip.model} has none of them")
        from ..appearance.mobileviclip import VideoAppearanceEncoder

        seed = _encoder_seed(experiment)
        return VideoAppearanceEncoder(clip.model, clip.pretrained, device, seed, clip.frames)
    from ..appearance.open_clip import AppearanceEncoder

    seed = _encoder_seed(experiment)
    return AppearanceEncoder(clip.model, clip.pretrained, device, seed, clip.weights_of)


def _encoder_seed(experiment: Experiment) -> int:
    """Of random weights; it has no part in pretrained ones."""
    return experiment.run.seed if experiment.clip.random else 0


def _in_parts(read: Callable[[Sequence[Clip]], ExtractReport], clips: Sequence[Clip]) -> ExtractReport:
    """Under torchrun each process reads its part first; then all find the whole in the cache."""
    if share().world > 1 and len(clips) > 1:
        read(share().of(clips))
        wait_for_all()
    return read(clips)


class Workspace:
    """An experiment's configuration brought to life, piece by piece and each piece once.

    Args:
        experiment: the configuration.
        reporter: told what happens.
    """

    def __init__(self, experiment: Experiment, reporter: Reporter | None = None) -> None:
        self.experiment = experiment
        self.reporter: Reporter = reporter or Silent()
        self.cache = FeatureCache(experiment.cache.dir)
        self.workers = default_workers(experiment.run.workers)
        self._random_told = False

    @cached_property
    def device(self) -> torch.device:
        """torch.device to compute on; where ``run.threads`` is set, so many threads compute on the CPU."""
        import torch

        from ..training.loop import pick_device

        if self.experiment.run.threads:
            torch.set_num_threads(self.experiment.run.threads)
        return pick_device(self.experiment.run.device)

    @cached_property
    def dataset(self) -> VideoDataset:
        """The clips.

        Raises:
            DataError, ConfigError: they can't be used.
        """
        data = self.experiment.data
        if self.feature_file is not None:
            return with_groups(self.feature_file.dataset, data.group_pattern)
        if data.root is None:
            raise ConfigError("data.root is not set; name the folder of the clips with --set data.root=DIR")
        root = data.root / data.recipe if data.recipe is not None else data.root
        if data.kind == "synthetic":
            spec = SyntheticSpec(clips_per_class=data.clips_per_class, frames=data.frames)
            found = generate(
                root, spec, workers=self.workers,
                progress=lambda done, total: self.reporter.progress("generate", done, total),
            )  # fmt: skip
        elif data.kind == "ucf101":
            found = load_ucf101(
                root, data.splits_dir, data.splits,
                skip_missing=data.skip_missing, group_pattern=data.group_pattern,
            )  # fmt: skip
        else:
            found = load_folder(root, group_pattern=data.group_pattern, skip_missing=data.skip_missing)
        for note in found.notes:
            self.reporter.warn(note)
        return with_groups(found, data.group_pattern)

    @cached_property
    def feature_file(self) -> FeatureFile | None:
        """Features that stand in for the videos, where the data set is a file of them.

        Raises:
            ConfigError, DataError, CheckpointError: it can't be used.
        """
        data = self.experiment.data
        if data.kind != "features":
            return None
        if data.root is None:
            raise ConfigError("data.root is not set; name the file of features with --set data.root=FILE")
        return load_features(data.root)

    @cached_property
    def folds(self) -> list[Fold]:
        """The divisions that the protocol asks for.

        Raises:
            DataError: too few clips or groups.
        """
        data, seed, file = self.experiment.data, self.experiment.run.seed, self.feature_file
        trained = set(self.experiment.run.streams) != {"zero_shot"}
        if not trained:  # then there is nothing to choose on validation clips
            data = data.model_copy(update={"val_fraction": 0.0})
        if file is None:
            read_prompts(self.experiment.clip.prompts).check(self.dataset.labels)  # refused before the work
            folds = divide(self.dataset, data, seed, self.cache)
        else:
            folds = divide_features(replace(file, dataset=self.dataset), data, seed, self.cache)
            self._say_division(file)
        look = trained and file is None
        digests = self.content_digests if look else {}
        official = data.protocol == "official" or data.kind == "ucf101" or bool(self.dataset.official)
        wanted = None if data.protocol == "leave-one-group-out" else 0.0 if official else data.test_fraction
        labels, shared = self.dataset.labels, data.shared_groups
        folds = [checked(fold, labels, digests, test_fraction=wanted, shared=shared) for fold in folds]
        for fold in folds:
            for note in fold.notes:
                self.reporter.warn(f"fold {fold.name}: {note}")
        return folds

    @cached_property
    def content_digests(self) -> dict[str, str]:
        """Clip name -> digest of its file, where there are videos; files that can't be read are left out."""
        return content_digests(self.dataset.clips, self.cache) if self.feature_file is None else {}

    def _say_division(self, file: FeatureFile) -> None:
        own = None if file.origin is None else file.origin.division
        if own:
            words = ", ".join(f"{name} {value}" for name, value in own.items())
            self.reporter.say(
                f"{file.dataset.root}: divided as its features were made ({words}); run.seed "
                f"{self.experiment.run.seed} is for the heads"
            )

    @cached_property
    def saved_experiment(self) -> Experiment:
        """The configuration as a run folder keeps it: absolute paths, and the division of a file of features."""
        found = with_absolute_paths(self.experiment)
        if self.feature_file is None:
            return found
        own = file_settings(self.feature_file)
        return found.model_copy(update={"data": found.data.model_copy(update=own)})

    @cached_property
    def lazy_encoder(self) -> LazyEncoder:
        """The CLIP model, loaded when it is needed."""
        clip = self.experiment.clip

        def load() -> AppearanceEncoder:
            self.reporter.say(f"loading {clip.model} ({clip.pretrained})")
            encoder = make_encoder(self.experiment, self.device)
            self._tell_random(encoder.describe() if encoder.random else "")
            if not encoder.random:
                self.reporter.say(f"loaded {encoder.describe()}")
            return encoder

        return LazyEncoder(clip, _encoder_seed(self.experiment), self.cache, load)

    def _tell_random(self, description: str) -> None:
        """Warn of random weights, once; features from the cache were made by them too."""
        if not description or self._random_told:
            return
        self._random_told = True
        if self.experiment.clip.random:
            description = f"{self.experiment.clip.model} has RANDOM weights, as asked for"
        self.reporter.warn(f"{description}: its features mean little")

    @property
    def encoder_identity(self) -> dict[str, str]:
        """What appearance features come from: model, weights and their digest."""
        file = self.feature_file
        if file is not None:
            known = dict(file.origin.encoder) if file.origin is not None else {}
            return known or {"model": "file", "pretrained": "", "digest": file.digest}
        clip = self.experiment.clip
        return {"model": clip.model, "pretrained": clip.pretrained, "digest": self.lazy_encoder.digest}

    @cached_property
    def class_vectors(self) -> npt.NDArray[np.float32]:
        """Text embeddings of the class names, float32 [C, D], L2-normalised; kept in the cache.

        Raises:
            ConfigError, WeightsUnavailable, CheckpointError: the prompts or the model can't be had.
        """
        if self.feature_file is not None:
            if self.feature_file.classes is None:
                raise ConfigError(f"{self.experiment.data.root} holds no text embeddings of the labels")
            return self.feature_file.classes
        labels = self.dataset.labels
        prompts = read_prompts(self.experiment.clip.prompts).check(labels)
        settings = {"weights": self.lazy_encoder.digest, "model": self.experiment.clip.model}
        key = cache_key("text", "", settings | {"sentences": [prompts.sentences(label) for label in labels]})
        arrays = self.cache.get("text", key)
        if arrays is None:
            arrays = {"classes": self.lazy_encoder.encoder.class_vectors(labels, prompts)}
            self.cache.put("text", key, arrays)
        return np.asarray(arrays["classes"], np.float32)

    def _progress(self, tick: Callable[[], None]) -> Progress:
        def progress(stage: str, done: int, total: int) -> None:
            tick()
            self.reporter.progress(stage, done, total)

        return progress

    def extract_motion(self, clips: Sequence[Clip], tick: Callable[[], None] = no_tick) -> ExtractReport:
        """Fill the cache with motion; `tick` is called after each clip that is computed.

        Raises:
            MoclipError: the disk is full.
        """
        started = time.perf_counter()
        spec = self.experiment.motion

        def read(part: Sequence[Clip]) -> ExtractReport:
            return extract_motion(
                part, spec, self.cache, workers=self.workers, progress=self._progress(tick),
                announce=lambda text: self.reporter.say(f"motion: {text}"),
            )  # fmt: skip

        report = _in_parts(read, clips)
        report.seconds = time.perf_counter() - started
        self.reporter.say(report.summary())
        return report

    def extract_appearance(self, clips: Sequence[Clip], tick: Callable[[], None] = no_tick) -> ExtractReport:
        """Fill the cache with appearance features; `tick` is called after each clip that is computed.

        Raises:
            MoclipError: the disk is full, or the model can't be had.
        """

        def read(part: Sequence[Clip]) -> ExtractReport:
            return extract_appearance(
                part, self.experiment.clip, self.lazy_encoder, self.cache,
                workers=self.workers, progress=self._progress(tick),
            )  # fmt: skip

        report = _in_parts(read, clips)
        self._tell_random(self.lazy_encoder.random)
        self.reporter.say(report.summary())
        return report
