"""Lazily built data set, folds, features, encoder and device of an experiment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..appearance.clip_arrays import ClipArrays, read_clip_arrays
from ..appearance.pooling import LONGER
from ..appearance.settings import no_text
from ..datasets import Clip, Fold, VideoDataset
from ..datasets.clip import with_groups
from ..datasets.extraction import ExtractReport, content_digests
from ..datasets.prompts import read_prompts
from ..datasets.settings import DataSettings
from ..datasets.splits import checked
from ..errors import ConfigError
from ..fusion.registry import NEED_TEXT
from ..parallel.runner import JobRunner, make_runner
from ..progress import Reporter, Silent
from ..results.run_folder import RunFolder
from ..shards.read import ShardReader
from ..storage.cache import FeatureCache
from ..storage.digest import digest_bytes
from ..streams import Source, Stream
from .config import Experiment, with_absolute_paths
from .dataset import data_root, load_dataset
from .encoder import ExperimentEncoder
from .encodings import read_encodings
from .extraction import Extraction, Extractor
from .feature_file import FeatureFile, load_features
from .feature_shards import DEFAULT_BUFFER, load_feature_shards
from .feature_shards import KIND as FEATURES
from .fingerprint import run_fingerprint
from .folds import divide, divide_features, file_settings
from .packed import PackedClips, PackedEncoder, PackedExtractor

if TYPE_CHECKING:
    import torch

__all__ = ["Session"]


class Session:
    """What the stages of an experiment share. Each piece is built once, when it is first needed.

    Args:
        experiment: the configuration.
        reporter: told what happens.

    Attributes:
        trained: whether its run folder was written in this process; a finished run is only read.
    """

    def __init__(self, experiment: Experiment, reporter: Reporter | None = None) -> None:
        self.experiment = experiment
        self.reporter: Reporter = reporter or Silent()
        self.trained = False

    @cached_property
    def workers(self) -> JobRunner:
        """Who reads clips.

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
    def feature_file(self) -> FeatureFile | None:
        """Features in place of the videos, where the data set is a file of them.

        Raises:
            ConfigError, DataError, CheckpointError: it can't be used.
        """
        data = self.experiment.data
        if data.kind == "features":
            self._refuse_weights(data_root(data))
            file = load_features(data_root(data))
            return file if data.buffer is None else file.streamed(data.buffer)
        if self.shards is None or self.shards.index.kind != FEATURES:
            return None
        self._refuse_weights(data_root(data))
        return load_feature_shards(self.shards, data.buffer)

    @cached_property
    def shards(self) -> ShardReader | None:
        """Reader of the shards, where the data set is a folder of them.

        Raises:
            ConfigError, DataError, CheckpointError: they can't be used.
        """
        data = self.experiment.data
        return ShardReader(data_root(data)) if data.kind == "shards" else None

    @cached_property
    def packed(self) -> PackedClips | None:
        """Clips with their motion and appearance features, where the data set is shards of them.

        Raises:
            ConfigError, DataError, CheckpointError: they can't be used.
        """
        if self.shards is None or self.shards.index.kind == FEATURES:
            return None
        return PackedClips(self.shards)

    @cached_property
    def cache(self) -> FeatureCache:
        """What was read of the clips; of shards, these in front of the cache folder."""
        folder = self.experiment.cache.dir
        return FeatureCache(folder) if self.packed is None else self.packed.cache(folder)

    @cached_property
    def own_appearance(self) -> ClipArrays | None:
        """Appearance features of one's own, where the configuration names a file of them.

        Raises:
            DataError, CheckpointError: it can't be used.
        """
        path = self.experiment.data.appearance
        if path is not None:
            self._refuse_weights(path)
        return None if path is None else read_clip_arrays(path)

    def _refuse_weights(self, path: Path) -> None:
        if self.experiment.clip.pooling == "motion":
            raise ConfigError(
                f"clip.pooling=motion needs frames of the videos; {path} does not tell where its own stand"
            )

    @property
    def has_text(self) -> bool:
        """Whether there are text embeddings of class names beside the appearance features."""
        return self.own_appearance is None and self.experiment.clip.has_text

    @cached_property
    def dataset(self) -> VideoDataset:
        """The clips.

        Raises:
            DataError, ConfigError: they can't be used.
        """
        data = self.experiment.data
        if self.feature_file is not None:
            return with_groups(self.feature_file.dataset, data.group_pattern)
        if self.packed is not None:
            return with_groups(self.packed.dataset, data.group_pattern)
        return load_dataset(data, self.workers, self.reporter)

    def places(self, clips: Sequence[Clip]) -> tuple[npt.NDArray[np.int64] | None, int]:
        """(where clips stand in shards, clips whose motion is in memory); (None, 0) where there are no shards."""
        if self.packed is None:
            return None, 0
        place = {clip.name: i for i, clip in enumerate(self.packed.dataset.clips)}
        asked = self.experiment.data.buffer or DEFAULT_BUFFER
        return np.array([place[clip.name] for clip in clips], np.int64), min(
            asked, self.packed.clips_in_memory
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of their numbers."""
        return self.dataset.labels

    @cached_property
    def content_digests(self) -> dict[str, str]:
        """Clip name -> digest of its file, where there are videos; files that can't be read are left out."""
        if self.packed is not None:
            return self.packed.contents
        return content_digests(self.dataset.clips, self.cache) if self.feature_file is None else {}

    @cached_property
    def folds(self) -> list[Fold]:
        """The divisions that the protocol asks for.

        Raises:
            DataError: too few clips or groups.
        """
        data, file = self.experiment.data, self.feature_file
        if file is not None:  # shards of features are divided as a file of them
            data = data.model_copy(update={"kind": "features"})
        trained = set(self.experiment.run.streams) != {"zero_shot"}
        if not trained:  # then there is nothing to choose on validation clips
            data = data.model_copy(update={"val_fraction": 0.0})
        self._refuse_pooling()
        if file is None:
            self._refuse_text()
            read_prompts(self.experiment.clip.prompts).check(self.labels)  # refused before the work
        else:
            self._say_division(file)
        folds = self._divisions(data)
        digests = self.content_digests if trained and file is None else {}
        official = data.protocol == "official" or data.kind == "ucf101" or bool(self.dataset.official)
        share = (
            None
            if data.protocol in ("leave-one-group-out", "kfold")
            else 0.0
            if official
            else data.test_fraction
        )
        folds = [
            checked(fold, self.labels, digests, test_fraction=share, shared=data.shared_groups)
            for fold in folds
        ]
        for fold in folds:
            for note in fold.notes:
                self.reporter.warn(f"fold {fold.name}: {note}")
        return folds

    def _divisions(self, data: DataSettings) -> list[Fold]:
        """The divisions of each seed of the run."""
        seeds, file, folds = self.experiment.run.all_seeds, self.feature_file, []
        for seed in seeds:
            if file is None:
                divided = divide(self.dataset, data, seed, self.cache)
            else:
                divided = divide_features(replace(file, dataset=self.dataset), data, seed, self.cache)
            folds += [fold.repeated(seed) for fold in divided] if len(seeds) > 1 else divided
        return folds

    @property
    def _text_heads(self) -> list[str]:
        """Heads of the streams that are asked for which start from text."""
        streams = self.experiment.run.streams
        asked = [stream for stream in Stream if stream in streams and Source.ENCODER in stream.sources]
        return sorted({self.experiment.head_of(stream) for stream in asked}.intersection(NEED_TEXT))

    def _refuse_pooling(self) -> None:
        """Refuse to compare pooled features with text where the lengths differ.

        Raises:
            ConfigError: they do.
        """
        pooling = self.experiment.clip.pooling
        if self._text_heads and pooling in LONGER:
            raise ConfigError(
                f"fusion.head={self.experiment.fusion.head} compares frames with text, and clip.pooling={pooling} gives "
                "vectors of another length; take clip.pooling=head, mean, max or motion"
            )

    def _refuse_text(self) -> None:
        """Refuse what needs text where the image encoder has none.

        Raises:
            ConfigError: zero-shot or such a head is asked for.
        """
        if self.has_text:
            return
        own = self.experiment.data.appearance
        reason = (
            no_text(self.experiment.clip.model) if own is None else f"data.appearance={own} holds no text"
        )
        if "zero_shot" in self.experiment.run.streams:
            raise ConfigError(f"run.streams asks for zero-shot; {reason}")
        if self._text_heads:
            raise ConfigError(f"fusion.head={self.experiment.fusion.head} starts from text; {reason}")

    def _say_division(self, file: FeatureFile) -> None:
        if file.origin is not None and (division := file.origin.division):
            words = ", ".join(f"{name} {value}" for name, value in division.items())
            self.reporter.say(
                f"{file.dataset.root}: divided as its features were made ({words}); run.seed "
                f"{self.experiment.run.seed} is for the heads"
            )

    @property
    def clips(self) -> list[Clip]:
        """The clips of all folds, each once, by name."""
        by_name = {clip.name: clip for fold in self.folds for clip in fold.clips()}
        return [by_name[name] for name in sorted(by_name)]

    @cached_property
    def saved_experiment(self) -> Experiment:
        """The configuration as a run folder keeps it: absolute paths, the division of a file of features."""
        saved = with_absolute_paths(self.experiment)
        if self.feature_file is None:
            return saved
        division = file_settings(self.feature_file)
        return saved.model_copy(update={"data": saved.data.model_copy(update=division)})

    def without_flips(self) -> None:
        """Mirror no clip from now on, in training or testing; the run folder says so too."""

        def changed(experiment: Experiment) -> Experiment:
            motion = experiment.motion.model_copy(update={"flip": 0.0})
            views = experiment.test.model_copy(update={"flips": 1})
            return experiment.model_copy(update={"motion": motion, "test": views})

        _ = self.fingerprint  # of the run as it was asked for
        self.experiment, self.saved_experiment = changed(self.experiment), changed(self.saved_experiment)

    @cached_property
    def encoder(self) -> ExperimentEncoder:
        """The CLIP model."""
        clip, seed = self.experiment.clip, self.experiment.run.seed
        if self.packed is not None and "clip" in self.packed.stages:
            return PackedEncoder(self.packed, clip, self.reporter)
        return ExperimentEncoder(clip, seed, self.cache, lambda: self.device, self.reporter)

    @cached_property
    def extractor(self) -> Extractor:
        """Reads clips into the cache."""
        if self.packed is not None:
            return PackedExtractor(
                self.packed, self.saved_experiment, self.encoder, self.cache, self.reporter
            )
        parts = self.encoder, self.cache, self.workers, self.reporter
        return Extractor(self.saved_experiment, *parts, own=self.own_appearance)

    def count_seconds(self) -> None:
        """Add the time of extraction to that of the run which the configuration names, if it names one."""
        if "dir" in self.experiment.run.model_fields_set:
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
        return self.resolved_fingerprint()

    def resolved_fingerprint(self) -> str:
        """As :attr:`fingerprint`, of the settings that the run folder says now."""
        digest = run_fingerprint(self.saved_experiment, self.folds, self.extraction)
        if not self.experiment.data.train_recipes:
            return digest
        keys = {name: [key for _, key in others] for name, others in self.encodings.items()}
        return digest_bytes([digest.encode(), json.dumps(keys, sort_keys=True).encode()])

    @cached_property
    def run_folder(self) -> RunFolder:
        """The run folder that the configuration names."""
        return RunFolder(self.experiment.run.dir, [fold.name for fold in self.folds])

    @property
    def encoder_identity(self) -> dict[str, str]:
        """Where appearance features come from: model, weights and their digest."""
        file = self.feature_file
        if self.own_appearance is not None:
            return self.own_appearance.identity
        if file is None:
            return self.encoder.identity
        known = {} if file.origin is None else dict(file.origin.encoder)
        return known or {"model": "file", "pretrained": "", "digest": file.digest}

    @cached_property
    def class_vectors(self) -> npt.NDArray[np.float32]:
        """Text embeddings of the class names, float32 [C, D], L2-normalised.

        Raises:
            ConfigError, WeightsUnavailable, CheckpointError: the prompts or the model are unavailable.
        """
        if self.own_appearance is not None:
            raise ConfigError(f"{self.own_appearance.path} holds no text embeddings of the labels")
        if self.feature_file is None:
            return self.encoder.class_vectors(self.labels)
        if self.feature_file.classes is None:
            raise ConfigError(f"{self.experiment.data.root} holds no text embeddings of the labels")
        return self.feature_file.classes
