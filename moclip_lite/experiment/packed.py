"""Motion and appearance features of a data set in shards: packed from the cache, and runs on them without the videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ..appearance.settings import AppearanceSettings
from ..datasets import Clip, VideoDataset
from ..datasets.clip_notes import ClipNote
from ..datasets.extraction import ExtractReport, Failure
from ..datasets.prompts import read_prompts
from ..errors import CheckpointError, ConfigError, DataError
from ..parallel.runner import LocalRunner
from ..shards.cached import ShardedCache, clips_in_memory, entry_columns
from ..shards.index import ShardIndex, content_digest
from ..shards.read import ShardReader
from ..shards.write import Block, ShardPlan, write_shards
from ..storage.cache import FeatureCache
from .encoder import ExperimentEncoder
from .extraction import Extractor
from .feature_description import dataset_of

if TYPE_CHECKING:
    from ..progress import Reporter
    from .config import Experiment
    from .session import Session

__all__ = ["KIND", "PackedClips", "PackedEncoder", "PackedExtractor", "pack_clips"]

KIND: Final = "clips"
_ROW_GROUP: Final = 64  # clips; some megabytes of motion
_SHARD_ROWS: Final = 4096
_CLIP_SETTINGS: Final = ("model", "pretrained", "frames", "positions", "crop_borders")


def pack_clips(session: Session, folder: Path, shard_rows: int = _SHARD_ROWS) -> ShardIndex:
    """Write the cache's entries of a data set as shards; clips that the cache does not hold are read first.

    Args:
        session: of the experiment whose streams are packed.
        folder: to write.
        shard_rows: clips of a file.

    Raises:
        DataError: none of the clips can be read.
        ConfigError: the folder holds something else, or appearance features of one's own.
        MoclipError: the disk is full; finished shards are kept.
    """
    if session.inputs.own_appearance is not None or session.experiment.data.train_recipes:
        raise ConfigError("data.appearance and data.train_recipes can't be packed; leave them out")
    clips = session.dataset.clips
    extraction = session.extract(clips)
    reports = {r.stage: r for r in (extraction.motion, extraction.appearance) if r.keys}
    if not reports:
        raise DataError(f"{session.dataset.root}: none of its clips can be read, so there is nothing to pack")
    contents = session.content_digests
    rows = [
        [
            clip.name,
            clip.label,
            clip.group,
            contents.get(clip.name),
            *(r.keys.get(clip.name) for r in reports.values()),
        ]
        for clip in clips
    ]
    plan = _plan(session, rows, reports, shard_rows)

    def block(start: int, stop: int) -> Block:
        values: dict[str, list[Any]] = {
            name: [row[i] for row in rows[start:stop]] for i, name in enumerate(_names(reports))
        }
        for stage in reports:
            key, data = entry_columns(stage)
            values[data] = [_entry(session, stage, k) for k in values[key]]
        return values

    return write_shards(
        folder, plan, block, lambda done, total: session.reporter.progress("pack", done, total)
    )


def _names(reports: Mapping[str, ExtractReport]) -> list[str]:
    return ["clip", "label", "group", "content", *(entry_columns(stage)[0] for stage in reports)]


def _plan(
    session: Session, rows: list[list[Any]], reports: Mapping[str, ExtractReport], shard_rows: int
) -> ShardPlan:
    dataset, clip = session.dataset, session.experiment.clip
    number = {c.name: i for i, c in enumerate(dataset.clips)}
    notes = [[note.name, note.note] for r in reports.values() for note in r.notes]
    description: dict[str, Any] = {
        "labels": list(dataset.labels),
        "splits": {
            n: [sorted(number[c] for c in part) for part in parts] for n, parts in dataset.official.items()
        },
        "validation": {n: sorted(number[c] for c in part) for n, part in dataset.validation.items()},
        "stages": list(reports),
        "motion": {
            k: _plain(v) for k, v in session.experiment.motion.key_settings().items() if k != "backend"
        },
        "notes": notes,
        "failures": {stage: {f.name: f.reason for f in r.failures} for stage, r in reports.items()},
        "encoder": None,
    }
    if "clip" in reports:
        facts = session.encoder.lazy
        description["encoder"] = {
            "settings": {name: _plain(getattr(clip, name)) for name in _CLIP_SETTINGS},
            "facts": {"digest": facts.digest, "cost": facts.cost, "random": facts.random},
            "classes": session.class_vectors.tolist() if session.inputs.has_text else None,
            "sentences": _sentences(clip, dataset.labels),
        }
    kinds = dict.fromkeys(_names(reports), "string") | {entry_columns(s)[1]: "binary" for s in reports}
    return ShardPlan(
        kind=KIND,
        rows=len(rows),
        content=content_digest(rows),
        columns={},
        labels=kinds,
        description=description,
        shard_rows=shard_rows,
        row_group=_ROW_GROUP,
    )


def _sentences(clip: AppearanceSettings, labels: Sequence[str]) -> list[list[str]]:
    """The sentences that stand for each label."""
    prompts = read_prompts(clip.prompts).check(labels)
    return [list(prompts.sentences(label)) for label in labels]


def _plain(value: Any) -> Any:
    """A value as JSON reads it back."""
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def _entry(session: Session, stage: str, key: str | None) -> bytes | None:
    """The file of a cache entry.

    Raises:
        CheckpointError: it is damaged, or was removed since.
    """
    if key is None:
        return None
    if session.cache.get(stage, key) is None:
        raise CheckpointError(
            f"a cache entry of {stage} is damaged or was removed while packing; `moclip pack` again reads its clip anew"
        )
    return session.cache.path(stage, key).read_bytes()


class PackedClips:
    """Clips, keys and settings of shards that :func:`pack_clips` wrote.

    Args:
        reader: of the shards.

    Attributes:
        dataset: the clips; their videos need not be there.
        contents: clip name -> digest of its file.
        stages: "motion" and "clip", as far as they were packed.

    Raises:
        CheckpointError: the shards hold something else, or are damaged.
    """

    def __init__(self, reader: ShardReader) -> None:
        self.reader = reader
        try:
            self._read(reader)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, DataError) as error:
            raise CheckpointError(f"{reader.folder} does not hold shards of clips: {error}") from error

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
        self._keys = {
            stage: {name: str(key) for name, key in zip(clips, keys, strict=True) if key is not None}
            for stage, keys in zip(self.stages, columns[4:], strict=True)
        }
        self.facts = facts

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
                f"{self.reader.folder} holds no {words}; pack the {streams} stream too, or leave it out of run.streams"
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
            if name in packed and packed[name] != _plain(value):
                raise ConfigError(
                    f"{self.reader.folder} was packed with {section}.{name}={packed[name]}, not {value}: take that "
                    "value, or pack again"
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
        asked = {k: v for k, v in self._experiment.motion.key_settings().items() if k != "backend"}
        self._packed.refuse_other_settings("motion", asked, self._packed.facts["motion"])
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
        words = f"{report.stage}: {report.reused} clips in {self._packed.reader.folder}"
        left_out = (
            f", {len(report.failures)} could not be read when they were packed" if report.failures else ""
        )
        self._reporter.say(words + left_out)
        return report


class PackedEncoder(ExperimentEncoder):
    """Identity and text embeddings of the encoder that made packed features; its weights need not be there.

    Args:
        packed: the clips.
        settings: the section ``clip``.
        reporter: warned of random weights.

    Raises:
        ConfigError: other settings are asked for.
    """

    def __init__(self, packed: PackedClips, settings: AppearanceSettings, reporter: Reporter) -> None:
        self._settings, self._reporter, self._warned, self._seed = settings, reporter, False, 0
        self._packed = packed
        facts = packed.facts["encoder"]
        known = facts["settings"]
        named = "pretrained" in settings.model_fields_set
        # A checkpoint lies elsewhere on another machine; its digest is what predictions are checked by.
        asked = {
            name: getattr(settings, name)
            for name in _CLIP_SETTINGS
            if name != "pretrained" or (named and "/" not in known["pretrained"] + settings.pretrained)
        }
        packed.refuse_other_settings("clip", asked, known)
        reporter.say(f"appearance features of {known['model']} with {known['pretrained']}, as packed")

    @cached_property
    def lazy(self) -> Any:
        """Digest, cost and random weights in words."""
        return _Facts(**self._packed.facts["encoder"]["facts"])

    def class_vectors(self, labels: Sequence[str]) -> npt.NDArray[np.float32]:
        """Text embeddings of class names, float32 [C, D], L2-normalised.

        Raises:
            ConfigError: the model has none, or others than those packed are asked for.
        """
        self.require_text()
        facts = self._packed.facts["encoder"]
        classes, sentences = facts["classes"], facts["sentences"]
        if classes is None or sentences != _sentences(self._settings, labels):
            raise ConfigError(
                f"{self._packed.reader.folder} holds no text embeddings of these labels; pack again"
            )
        return np.asarray(classes, np.float32)


class _Facts:
    """What is known of an encoder that is not loaded."""

    def __init__(self, digest: str, cost: Mapping[str, Any], random: str) -> None:
        self.digest, self.cost, self.random = str(digest), dict(cost), str(random)
