"""What the stages of an experiment share: its data, cache, encoder and device."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property

import torch

from .appearance import RANDOM, AppearanceEncoder
from .cache import FeatureCache
from .config import VIDEO_MODELS, Experiment
from .datasets import (
    Clip,
    Fold,
    SyntheticSpec,
    VideoDataset,
    generate,
    holdout_fold,
    leave_one_group_out,
    load_folder,
    load_ucf101,
    official_folds,
)
from .errors import ConfigError
from .extract import ExtractReport, check_disk, extract_motion
from .extract_clip import AppearanceSpec, LazyEncoder, extract_appearance
from .parallel import default_workers
from .reporting import Reporter, Silent
from .training import pick_device
from .video_appearance import VideoAppearanceEncoder

__all__ = ["Workspace", "make_encoder"]


def make_encoder(experiment: Experiment, device: torch.device) -> AppearanceEncoder:
    """The CLIP model that the configuration names.

    Raises:
        ConfigError, WeightsUnavailable, CheckpointError: it can't be had.
    """
    clip = experiment.clip
    if clip.model.startswith(VIDEO_MODELS):
        seed = _encoder_seed(experiment)
        return VideoAppearanceEncoder(clip.model, clip.pretrained, device, seed, clip.frames)
    return AppearanceEncoder(clip.model, clip.pretrained, device, _encoder_seed(experiment))


def _encoder_seed(experiment: Experiment) -> int:
    """Of random weights; it has no part in pretrained ones."""
    return experiment.run.seed if experiment.clip.pretrained == RANDOM else 0


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

    @cached_property
    def device(self) -> torch.device:
        """torch.device to compute on."""
        return pick_device(self.experiment.run.device)

    @cached_property
    def dataset(self) -> VideoDataset:
        """The clips.

        Raises:
            DataError, ConfigError: they can't be used.
        """
        data = self.experiment.data
        if data.root is None:
            raise ConfigError("data.root is not set; name the folder of the clips with --set data.root=DIR")
        if data.kind == "synthetic":
            spec = SyntheticSpec(clips_per_class=data.clips_per_class, frames=data.frames)
            found = generate(
                data.root, spec, workers=self.workers,
                progress=lambda done, total: self.reporter.progress("generate", done, total),
            )  # fmt: skip
        elif data.kind == "ucf101":
            if data.splits_dir is None:
                raise ConfigError(
                    "data.splits_dir is not set; name the folder of trainlist01.txt and the others"
                )
            found = load_ucf101(data.root, data.splits_dir, data.splits, skip_missing=data.skip_missing)
        else:
            found = load_folder(data.root, group_pattern=data.group_pattern, skip_missing=data.skip_missing)
        for note in found.notes:
            self.reporter.warn(note)
        return found

    @cached_property
    def folds(self) -> list[Fold]:
        """The divisions that the protocol asks for.

        Raises:
            DataError: too few clips or groups.
        """
        data, seed = self.experiment.data, self.experiment.run.seed
        if data.protocol == "leave-one-group-out":
            folds = leave_one_group_out(self.dataset, data.val_fraction, seed)
        elif data.protocol == "official" or data.kind == "ucf101":
            folds = official_folds(self.dataset, data.val_fraction, seed)
        else:
            folds = [holdout_fold(self.dataset, data.test_fraction, data.val_fraction, seed)]
        for fold in folds:
            for note in fold.notes:
                self.reporter.warn(f"fold {fold.name}: {note}")
        return folds

    @cached_property
    def appearance_spec(self) -> AppearanceSpec:
        """What appearance features are made from."""
        clip = self.experiment.clip
        return AppearanceSpec(
            model=clip.model, pretrained=clip.pretrained, seed=_encoder_seed(self.experiment),
            frames=clip.frames, positions=clip.positions,
        )  # fmt: skip

    @cached_property
    def lazy_encoder(self) -> LazyEncoder:
        """The CLIP model, loaded when it is needed."""
        spec = self.appearance_spec

        def load() -> AppearanceEncoder:
            self.reporter.say(f"loading {spec.model} ({spec.pretrained})")
            encoder = make_encoder(self.experiment, self.device)
            if encoder.random:
                self.reporter.warn(f"{spec.model} has RANDOM weights, as asked for: its features mean little")
            return encoder

        return LazyEncoder(spec, self.cache, load)

    def extract_motion(self, clips: Sequence[Clip]) -> ExtractReport:
        """Fill the cache with motion.

        Raises:
            MoclipError: the disk is full.
        """
        started = time.perf_counter()
        spec = self.experiment.motion.spec()
        self.reporter.say(f"motion: {check_disk(spec, len(clips), self.cache)}")
        report = extract_motion(
            clips, spec, self.cache, workers=self.workers, progress=self.reporter.progress
        )
        report.seconds = time.perf_counter() - started
        self.reporter.say(report.summary())
        return report

    def extract_appearance(self, clips: Sequence[Clip]) -> ExtractReport:
        """Fill the cache with appearance features.

        Raises:
            MoclipError: the disk is full, or the model can't be had.
        """
        report = extract_appearance(
            clips, self.appearance_spec, self.lazy_encoder, self.cache,
            workers=self.workers, progress=self.reporter.progress,
        )  # fmt: skip
        self.reporter.say(report.summary())
        return report
