"""Lazily built data set, folds, features, encoder and device of an experiment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..datasets import Clip, Fold, VideoDataset
from ..datasets.extraction import ExtractReport, content_digests
from ..datasets.prompts import Prompts, read_prompts
from ..errors import ConfigError
from ..motion.mirrors import MeanMotion
from ..motion.store import MotionStore
from ..parallel.runner import JobRunner, make_runner
from ..progress import Reporter, Silent
from ..results.run_folder import RunFolder
from ..storage.cache import FeatureCache, default_cache_dir
from ..storage.digest import digest_bytes
from .config import Experiment, with_absolute_paths
from .division.directions import Directions, mirrors_clips
from .division.folds import file_settings, keeps_division, split_numbers
from .division.seeds import (
    check_folds,
    divide_by_seeds,
    refuse_missing_text,
    refuse_pooling,
    trains,
    words_of,
)
from .encoder import ExperimentEncoder
from .extraction import Extraction, Extractor
from .fingerprint import run_fingerprint
from .inputs.encodings import read_encodings
from .inputs.feature_file import FeatureFile
from .inputs.loading import Inputs
from .inputs.packed_clips import PackedEncoder, PackedExtractor
from .output_place import refuse_among_classes

if TYPE_CHECKING:
    import torch

    from .stages import Trainer

__all__ = ["Session"]


class Session:
    """What the stages of an experiment share. Each piece is built once, when it is first needed.

    Args:
        experiment: the configuration.
        reporter: told what happens.

    Attributes:
        trained: whether its run folder was written in this process; a finished run is only read.
        asked: the configuration as it was asked for, where :meth:`keep_directions` has changed it.
        earlier: notes on decisions of an earlier run that the configuration keeps.
        directions: the folds whose clips are not mirrored, once that is decided or read from a run.
    """

    def __init__(self, experiment: Experiment, reporter: Reporter | None = None) -> None:
        self.experiment = experiment
        self.reporter: Reporter = reporter or Silent()
        self.trained = False
        self.asked: Experiment | None = None
        self.earlier: list[str] = []
        self.directions = Directions()

    @cached_property
    def workers(self) -> JobRunner:
        """Runs the jobs that read clips.

        Raises:
            MoclipError: there is no such cluster.
        """
        run = self.experiment.run
        return make_runner(run.engine, run.workers, run.ray_address, self.reporter.say)

    @cached_property
    def device(self) -> torch.device:
        """Device to compute on; where ``run.threads`` is set, so many threads compute on the CPU.

        Raises:
            ConfigError: no such device here.
        """
        import torch

        from ..training.device import pick_device

        if self.experiment.run.threads:
            torch.set_num_threads(self.experiment.run.threads)
        return pick_device(self.experiment.run.device)

    @cached_property
    def inputs(self) -> Inputs:
        """What the configuration names to read."""
        return Inputs(self.experiment, lambda: self.workers, self.reporter)

    @property
    def feature_file(self) -> FeatureFile | None:
        """Features in place of the videos, see :class:`Inputs`."""
        return self.inputs.feature_file

    @property
    def dataset(self) -> VideoDataset:
        """The clips, see :class:`Inputs`."""
        return self.inputs.dataset

    @cached_property
    def cache(self) -> FeatureCache:
        """What was read of the clips; of shards, these in front of the cache folder.

        Raises:
            ConfigError: the folder lies among the class folders.
        """
        folder, packed = self.experiment.cache.dir, self.inputs.packed
        if folder is not None:
            refuse_among_classes(self.experiment.data, folder, "--cache")
        else:
            refuse_among_classes(self.experiment.data, default_cache_dir(), "MOCLIP_CACHE or --cache")
        return FeatureCache(folder) if packed is None else packed.cache(folder)

    @cached_property
    def prompts(self) -> Prompts:
        """Sentences that stand for the class names.

        Raises:
            ConfigError: the file of them can't be used.
        """
        return read_prompts(self.experiment.clip.prompts)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of their numbers."""
        return self.dataset.labels

    @cached_property
    def content_digests(self) -> dict[str, str]:
        """Clip name -> digest of its file; files that can't be read are left out.

        Of features without videos they are those of the features, where these are divided anew.
        """
        if self.inputs.packed is not None:
            return self.inputs.packed.contents
        file = self.feature_file
        if file is None:
            return content_digests(self.dataset.clips, self.cache)
        return {} if keeps_division(file, self.experiment.data) else file.content_digests()

    @cached_property
    def folds(self) -> list[Fold]:
        """The divisions that the protocol asks for.

        Raises:
            ConfigError: streams or heads are asked for that need text which there is not.
            DataError: too few clips or groups.
        """
        experiment, file = self.experiment, self.feature_file
        self.check_inputs()
        if file is not None and (words := words_of(file, experiment.data, experiment.run.seed)):
            self.reporter.say(words)
        folds = divide_by_seeds(experiment, self.dataset, file, self.cache)
        digests = self.content_digests if trains(experiment) else {}
        return check_folds(folds, self.dataset, file, experiment.data, digests, self.reporter)

    def check_inputs(self) -> None:
        """Refuse what the configuration asks of its inputs in vain, before the work.

        Raises:
            ConfigError: streams or heads need text which there is not, or sentences do not fit the labels.
        """
        refuse_pooling(self.experiment)
        if self.feature_file is None:
            if not self.inputs.has_text:
                refuse_missing_text(self.experiment)
            self.prompts.check(self.labels)

    @property
    def clips(self) -> list[Clip]:
        """The clips of all folds, each once, by name."""
        by_name = {clip.name: clip for fold in self.folds for clip in fold.clips()}
        return [by_name[name] for name in sorted(by_name)]

    @cached_property
    def saved_experiment(self) -> Experiment:
        """The configuration as a run folder keeps it: absolute paths, the division of features or shards."""
        saved = with_absolute_paths(self.experiment)
        if self.feature_file is not None:
            division = file_settings(self.feature_file)
        elif self.inputs.packed is not None and (splits := split_numbers(self.dataset.official)):
            division = {"splits": splits}
        else:
            return saved
        return saved.model_copy(update={"data": saved.data.model_copy(update=division)})

    def keep_directions(self) -> list[str]:
        """Mirror no clip from now on, in training or testing, of folds where that would make two classes one.

        The run folder keeps the changed settings too.

        Returns:
            Notes for the report.
        """
        if not mirrors_clips(self.experiment) or self.feature_file is not None:
            return list(self.earlier)
        motion = MeanMotion(MotionStore(self.cache, self.extraction.motion.keys, self.experiment.motion))
        self.directions = Directions.found(self.labels, self.folds, motion)
        if len(self.directions.folds) == len(self.folds):
            _ = self.fingerprint  # of the run as it was asked for
            self.asked = self.saved_experiment
            self.saved_experiment = self.saved_experiment.without_flips()
            self.experiment = self.experiment.without_flips()
        for note in self.directions.notes:
            self.reporter.say(note)
        return list(self.directions.notes)

    @cached_property
    def encoder(self) -> ExperimentEncoder:
        """The CLIP model."""
        clip, seed = self.experiment.clip, self.experiment.run.seed
        if self.inputs.packed is not None and "clip" in self.inputs.packed.stages:
            return PackedEncoder(self.inputs.packed, clip, self.reporter, seed)
        return ExperimentEncoder(clip, seed, self.cache, lambda: self.device, self.reporter)

    @cached_property
    def extractor(self) -> Extractor:
        """Reads clips into the cache."""
        if self.inputs.packed is not None:
            return PackedExtractor(
                self.inputs.packed, self.saved_experiment, self.encoder, self.cache, self.reporter
            )
        parts = self.encoder, self.cache, self.workers, self.reporter
        return Extractor(self.saved_experiment, *parts, own=self.inputs.own_appearance)

    def count_seconds(self) -> None:
        """Add the time of extraction to that of the run which the configuration names, if it names one."""
        if "dir" in self.experiment.run.model_fields_set:
            refuse_among_classes(self.experiment.data, self.experiment.run.dir, "--set run.dir=DIR")
            self.extractor.ledger = RunFolder(self.experiment.run.dir).ledger

    @cached_property
    def extraction(self) -> Extraction:
        """What could be read of the clips of all folds; reads those that the cache does not hold.

        Raises:
            MoclipError: the clips or the model can't be used.
        """
        return self.extract(self.clips)

    def extract(self, clips: Sequence[Clip]) -> Extraction:
        """Read what the streams need of clips, or look it up in the file of features."""
        if self.feature_file is None:
            return self.extractor.read(clips, self.experiment.run.streams)
        keys = dict.fromkeys((clip.name for clip in clips), self.feature_file.digest)
        return Extraction(ExtractReport("motion", keys=keys), ExtractReport("clip", keys=keys))

    @cached_property
    def encodings(self) -> dict[str, list[tuple[Clip, str]]]:
        """Encodings of the training and validation clips of all folds to train on; reads their motion.

        Raises:
            MoclipError: they can't be used.
        """
        clips = {clip.name: clip for fold in self.folds for clip in (*fold.train, *fold.val)}
        return read_encodings(
            self.saved_experiment.data, list(clips.values()), self.extractor, self.workers, self.reporter
        )

    @cached_property
    def fingerprint(self) -> str:
        """Digest of all that decides the results of a run, as it was asked for."""
        return self.resolved_fingerprint

    @property
    def resolved_fingerprint(self) -> str:
        """As :attr:`fingerprint`, of the settings that the run folder says now."""
        digest = run_fingerprint(self.saved_experiment, self.prompts, self.folds, self.extraction)
        if not self.experiment.data.train_recipes:
            return digest
        keys = {name: [key for _, key in others] for name, others in self.encodings.items()}
        return digest_bytes([digest.encode(), json.dumps(keys, sort_keys=True).encode()])

    @cached_property
    def trainer(self) -> Trainer:
        """Runs trainings."""
        from .stages import Trainer

        return Trainer(self.cache, lambda: self.device, self.reporter, self.run_folder.write_back)

    @cached_property
    def run_folder(self) -> RunFolder:
        """The run folder that the configuration names."""
        return RunFolder(self.experiment.run.dir, [fold.name for fold in self.folds])

    @property
    def encoder_identity(self) -> dict[str, str]:
        """Where appearance features come from: model, weights and their digest."""
        file = self.feature_file
        if self.inputs.own_appearance is not None:
            return self.inputs.own_appearance.identity
        if file is None:
            return self.encoder.identity
        known = {} if file.origin is None else dict(file.origin.encoder)
        return known or {"model": "file", "pretrained": "", "digest": file.digest}

    @cached_property
    def class_vectors(self) -> npt.NDArray[np.float32]:
        """Text embeddings of the class names, float32 [C, D], L2-normalised.

        It warns of classes that share a sentence.

        Raises:
            ConfigError, WeightsUnavailable, CheckpointError: the prompts or the model are unavailable.
        """
        if self.inputs.own_appearance is not None:
            raise ConfigError(f"{self.inputs.own_appearance.path} holds no text embeddings of the labels")
        if self.feature_file is None:
            for note in self.prompts.shared_notes(self.labels):
                self.reporter.warn(note)
            return self.encoder.class_vectors(self.labels, self.prompts)
        if self.feature_file.classes is None:
            raise ConfigError(f"{self.experiment.data.root} holds no text embeddings of the labels")
        return self.feature_file.classes
