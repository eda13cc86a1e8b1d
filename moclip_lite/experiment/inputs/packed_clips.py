"""Clips with motion and appearance features in shards: runs without videos, and what both sides know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ...appearance.settings import AppearanceSettings
from ...datasets import Clip, VideoDataset
from ...datasets.clip_notes import ClipNote
from ...datasets.content import extent_of
from ...datasets.extraction import ExtractReport, Failure
from ...datasets.prompts import Prompts
from ...errors import CheckpointError, ConfigError, DataError
from ...parallel.runner import LocalRunner
from ...shards.cached import ShardedCache, clips_in_memory, entry_columns
from ...shards.read import ShardReader
from ...storage.cache import FeatureCache
from ...storage.cache_keys import STAGES
from ..encoder import ExperimentEncoder
from ..extraction import Extractor
from ..settings.used import FEATURES
from .feature_description import dataset_of

if TYPE_CHECKING:
    from ...progress import Reporter
    from ..config import Experiment

__all__ = ["CLIP_SETTINGS", "KIND", "PackedClips", "PackedEncoder", "PackedExtractor", "plain"]

KIND: Final = "clips"
"""What the rows of such shards are."""
CLIP_SETTINGS: Final = ("model", "pretrained", "frames", "positions", "crop_borders")
"""Settings of the section ``clip`` that appearance features depend on."""


def plain(value: Any) -> Any:
    """A value as JSON reads it back."""
    return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value


class PackedClips:
    """Clips, keys and settings of shards that :func:`pack_clips` wrote.

    Args:
        reader: of the shards.

    Attributes:
        dataset: the clips; their videos need not be there.
        contents: clip name -> its content, see :func:`~moclip_lite.datasets.content.content_of`.
        stages: "motion" and "clip", as far as they were packed.

    Raises:
        CheckpointError: the shards hold something else, or are damaged.
    """

    def __init__(self, reader: ShardReader) -> None:
        self.reader = reader
        try:
            self._read(reader)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, DataError) as error:
            raise CheckpointError(f"{reader.shown} does not hold shards of clips: {error}") from error

    def _read(self, reader: ShardReader) -> None:
        facts = dict(reader.index.description)
        self.stages = tuple(str(stage) for stage in facts["stages"])
        if not self.stages or not set(self.stages) <= {"motion", "clip"}:
            raise ValueError("they name no stage that is known")
        names = ["clip", "label", "group", "content", *(entry_columns(stage)[0] for stage in self.stages)]
        columns = [column.to_pylist() for column in reader.table(names).columns]
        described = {**facts, "clips": [list(row) for row in zip(*columns[:3], strict=True)]}
        dataset = dataset_of(reader.folder, described)
        clips = [clip.name for clip in dataset.clips]
        validation = {str(n): frozenset(clips[i] for i in rows) for n, rows in facts["validation"].items()}
        self.dataset: VideoDataset = replace(dataset, validation=validation)
        self.contents = {name: str(d) for name, d in zip(clips, columns[3], strict=True) if d is not None}
        for content in self.contents.values():
            extent_of(content)
        self._keys = {
            stage: {name: str(key) for name, key in zip(clips, keys, strict=True) if key is not None}
            for stage, keys in zip(self.stages, columns[4:], strict=True)
        }
        self.facts = facts

    @property
    def encoder(self) -> dict[str, Any]:
        """What is known of the encoder of packed appearance features: settings, facts, texts."""
        facts = self.facts["encoder"]
        more = self.facts.get("measured", {}).get("encoder", {})  # beside the others in earlier versions
        return {
            **facts,
            "settings": {**{k: v for k, v in more.items() if k == "pretrained"}, **facts["settings"]},
            "facts": {**{k: v for k, v in more.items() if k == "cost"}, **facts["facts"]},
        }

    @property
    def versions(self) -> dict[str, int]:
        """Stage -> version of what was packed of it, as far as the index tells it; earlier ones do not."""
        noted = self.facts.get("measured", {}).get("features", {})
        return {s: noted[s] for s in self.stages if type(noted.get(s)) is int}

    def other_version(self, stage: str) -> str:
        """A sentence where predictions compute another version of a stage than was packed; "" otherwise."""
        packed, computed = self.versions.get(stage), STAGES[stage].version
        if packed in (None, computed):
            return ""
        return (
            f"{self.reader.shown} holds {FEATURES[stage]} of version {packed}, and this program computes "
            f"version {computed} of videos: predictions may differ from tests on these shards; pack again"
        )

    @property
    def clips_in_memory(self) -> int:
        """Clips whose entries :meth:`cache` holds in memory, by their mean size."""
        return clips_in_memory(self.reader)

    def cache(self, root: Path | None) -> ShardedCache:
        """A cache that holds the packed entries."""
        return ShardedCache(root, self.reader, self.stages)

    def report(self, stage: str, clips: Sequence[Clip]) -> ExtractReport:
        """What was packed of clips.

        Raises:
            ConfigError: nothing of this stage.
        """
        if stage not in self.stages:
            streams, words = (
                ("appearance", "appearance features") if stage == "clip" else ("motion", "motion")
            )
            raise ConfigError(
                f"{self.reader.shown} holds no {words}; "
                f"pack the {streams} stream too, or leave it out of run.streams"
            )
        keys, failed = self._keys[stage], self.facts["failures"].get(stage, {})
        known = {clip.name: keys[clip.name] for clip in clips if clip.name in keys}
        failures = [
            Failure(clip.name, stage, str(failed.get(clip.name, "it could not be read when it was packed")))
            for clip in clips
            if clip.name not in keys
        ]
        names = known.keys()
        notes = [
            ClipNote(str(n), str(text)) for n, text in self.facts["notes"] if stage == "motion" and n in names
        ]
        return ExtractReport(stage, keys=known, reused=len(known), failures=failures, notes=notes)

    def refuse_other_settings(
        self, section: str, asked: Mapping[str, Any], packed: Mapping[str, Any]
    ) -> None:
        """Refuse settings of reading that are not those of the shards.

        Raises:
            ConfigError: another value is asked for.
        """
        for name, value in asked.items():
            if name in packed and packed[name] != plain(value):
                raise ConfigError(
                    f"{self.reader.shown} was packed with {section}.{name}={packed[name]}, "
                    f"not {value}: take that value, or pack again"
                )


class PackedExtractor(Extractor):
    """Looks up what was packed, in place of reading videos.

    Args:
        packed: the clips.
        experiment: the configuration.
        encoder: what made the features.
        cache: of the packed clips.
        reporter: told what is left out.
    """

    def __init__(
        self,
        packed: PackedClips,
        experiment: Experiment,
        encoder: ExperimentEncoder,
        cache: FeatureCache,
        reporter: Reporter,
    ) -> None:
        super().__init__(experiment, encoder, cache, LocalRunner(1), reporter)
        self._packed = packed

    def motion(self, clips: Sequence[Clip]) -> ExtractReport:
        """Keys of the motion of clips.

        Raises:
            ConfigError: other settings are asked for, or no motion was packed.
        """
        asked = {k: v for k, v in self._experiment.motion.reading().items() if k != "backend"}
        packed = {"stride": 1} | self._packed.facts["motion"]  # which earlier versions left out
        self._packed.refuse_other_settings("motion", asked, packed)
        return self._said(self._packed.report("motion", clips))

    def appearance(self, clips: Sequence[Clip]) -> ExtractReport:
        """Keys of the appearance features of clips.

        Raises:
            ConfigError: other settings are asked for, or no features were packed.
        """
        report = self._packed.report("clip", clips)
        self._encoder.warn_if_random()
        return self._said(report)

    def _said(self, report: ExtractReport) -> ExtractReport:
        words = f"{report.stage}: {report.reused} clips in {self._packed.reader.shown}"
        left_out = (
            f", {len(report.failures)} could not be read when they were packed" if report.failures else ""
        )
        self._reporter.say(words + left_out)
        if other := self._packed.other_version(report.stage):
            self._reporter.warn(other)
        return report


class PackedEncoder(ExperimentEncoder):
    """Identity and text embeddings of the encoder that made packed features; its weights need not be there.

    Args:
        packed: the clips.
        settings: the section ``clip``.
        reporter: warned of random weights.
        seed: of random weights.

    Raises:
        ConfigError: other settings are asked for.
    """

    def __init__(
        self, packed: PackedClips, settings: AppearanceSettings, reporter: Reporter, seed: int
    ) -> None:
        self._settings, self._reporter, self._warned, self._seed = settings, reporter, False, 0
        self._packed = packed
        facts = packed.encoder
        known = facts["settings"]
        named = "pretrained" in settings.model_fields_set
        # A checkpoint lies elsewhere on another machine; its digest is what predictions are checked by.
        elsewhere = "/" in known["pretrained"] and "/" in settings.pretrained
        asked = {
            name: getattr(settings, name)
            for name in CLIP_SETTINGS
            if name != "pretrained" or (named and not elsewhere)
        }
        packed.refuse_other_settings("clip", asked, known)
        packed.refuse_other_settings("run", {"seed": seed}, facts.get("run", {}))
        reporter.say(f"appearance features of {known['model']} with {known['pretrained']}, as packed")

    @cached_property
    def lazy(self) -> Any:
        """Digest, cost and random weights in words."""
        return _Facts(**self._packed.encoder["facts"])

    def class_vectors(self, labels: Sequence[str], prompts: Prompts) -> npt.NDArray[np.float32]:
        """Text embeddings of class names, float32 [C, D], L2-normalised.

        Raises:
            ConfigError: the model has none, or others than those packed are asked for.
        """
        self.require_text()
        facts = self._packed.encoder
        classes, sentences = facts["classes"], facts["sentences"]
        if classes is None or sentences != prompts.check(labels).all_sentences(labels):
            raise ConfigError(
                f"{self._packed.reader.shown} holds no text embeddings of these labels; pack again"
            )
        return np.asarray(classes, np.float32)


class _Facts:
    """What is known of an encoder that is not loaded."""

    def __init__(self, digest: str, cost: Mapping[str, Any], random: str) -> None:
        self.digest, self.cost, self.random = str(digest), dict(cost), str(random)
