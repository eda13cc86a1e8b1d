"""What an experiment reads: videos, shards of clips, or a file of features, as the configuration names it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from ...appearance.clip_arrays import ClipArrays, read_clip_arrays
from ...datasets import Clip, VideoDataset
from ...datasets.clip import with_groups
from ...errors import ConfigError
from ...parallel.runner import JobRunner
from ...progress import Reporter
from ...shards.cached import NEIGHBOURS
from ...shards.read import ShardReader
from ...training.batches import ShuffleBuffer
from ..config import Experiment
from .dataset import data_root, load_dataset
from .feature_file import FeatureFile
from .feature_shards import DEFAULT_BUFFER, load_feature_shards
from .feature_shards import KIND as FEATURES
from .feature_storage import load_features
from .packed_clips import PackedClips

__all__ = ["Inputs"]


class Inputs:
    """The data set of an experiment and the features it comes with; each is loaded when it is first needed.

    Args:
        experiment: the configuration.
        workers: called for the runner of jobs that generate or list clips.
        reporter: told what the data set notes about itself.
    """

    def __init__(self, experiment: Experiment, workers: Callable[[], JobRunner], reporter: Reporter) -> None:
        self._data, self._clip = experiment.data, experiment.clip
        self._workers, self._reporter = workers, reporter

    @cached_property
    def feature_file(self) -> FeatureFile | None:
        """Features in place of the videos, where the data set is a file of them.

        Raises:
            ConfigError, DataError, CheckpointError: it can't be used.
        """
        if self._data.kind == "features":
            self._refuse_weights(data_root(self._data))
            file = load_features(data_root(self._data))
            return file if self._data.buffer is None else file.streamed(self._data.buffer)
        if self._shards is None or self._shards.index.kind != FEATURES:
            return None
        self._refuse_weights(data_root(self._data))
        return load_feature_shards(self._shards, self._data.buffer)

    @cached_property
    def packed(self) -> PackedClips | None:
        """Clips with their motion and appearance features, where the data set is shards of them.

        Raises:
            ConfigError, DataError, CheckpointError: they can't be used.
        """
        if self._shards is None or self._shards.index.kind == FEATURES:
            return None
        return PackedClips(self._shards)

    @property
    def packed_versions(self) -> dict[str, int] | None:
        """Stage -> version of the features in shards, as far as they tell it; None where videos are read."""
        if self._data.kind != "shards":
            return None
        return {} if self.packed is None else self.packed.versions

    @cached_property
    def _shards(self) -> ShardReader | None:
        return ShardReader(data_root(self._data)) if self._data.kind == "shards" else None

    @cached_property
    def own_appearance(self) -> ClipArrays | None:
        """Precomputed appearance features, where the configuration names a file of them.

        Raises:
            ConfigError, DataError, CheckpointError: it can't be used.
        """
        path = self._data.appearance
        if path is None:
            return None
        self._refuse_weights(path)
        return read_clip_arrays(path)

    def _refuse_weights(self, path: Path) -> None:
        if self._clip.pooling == "motion":
            raise ConfigError(
                f"clip.pooling=motion needs frames of the videos; {path} has no times of its frames"
            )

    @property
    def has_text(self) -> bool:
        """Whether there are text embeddings of class names beside the appearance features."""
        if self.feature_file is not None:
            return self.feature_file.classes is not None
        return self.own_appearance is None and self._clip.has_text

    @cached_property
    def dataset(self) -> VideoDataset:
        """The clips.

        Raises:
            DataError, ConfigError: they can't be used.
        """
        source = self.feature_file or self.packed
        if source is not None:
            dataset = source.dataset
            if self.packed is not None and "splits" in self._data.model_fields_set:  # by default all packed
                dataset = dataset.with_splits([f"split{number}" for number in self._data.splits])
            return with_groups(dataset, self._data.group_pattern)
        return load_dataset(self._data, self._workers(), self._reporter)

    def shuffle_buffer(self, clips: Sequence[Clip]) -> ShuffleBuffer | None:
        """How clips in shards are read; None elsewhere, and where the memory holds them all."""
        if self.packed is None:
            return None
        place = {clip.name: i for i, clip in enumerate(self.packed.dataset.clips)}
        in_memory = min(self._data.buffer or DEFAULT_BUFFER, self.packed.clips_in_memory)
        if len(clips) <= in_memory:
            return None
        return ShuffleBuffer(np.array([place[clip.name] for clip in clips], np.int64), in_memory, NEIGHBOURS)
