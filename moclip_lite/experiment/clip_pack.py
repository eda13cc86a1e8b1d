"""Writing a data set's motion and appearance features from the cache as shards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mv_tools.urls import spelled

from ..datasets.extraction import ExtractReport
from ..errors import CheckpointError, ConfigError, DataError
from ..shards.cached import entry_columns
from ..shards.index import ShardIndex, content_digest
from ..shards.write import Block, ShardPlan, write_shards
from ..storage.cache_keys import STAGES
from .inputs.packed_clips import CLIP_SETTINGS, KIND, plain
from .output_place import refuse_among_classes

if TYPE_CHECKING:
    from .session import Session

__all__ = ["pack_clips"]

_ROW_GROUP: Final = 64  # clips; some megabytes of motion
_SHARD_ROWS: Final = 4096


def pack_clips(session: Session, folder: Path, shard_rows: int = _SHARD_ROWS) -> ShardIndex:
    """Write the cache's entries of a data set as shards; clips that the cache does not hold are read first.

    Args:
        session: of the experiment whose streams are packed.
        folder: to write.
        shard_rows: clips of a file.

    Raises:
        DataError: none of the clips can be read.
        ConfigError: the folder holds something else or lies among the class folders, or the data set is
            features or has some of one's own.
        MoclipError: the disk is full; finished shards are kept.
    """
    if session.inputs.own_appearance is not None or session.experiment.data.train_recipes:
        raise ConfigError("data.appearance and data.train_recipes can't be packed; leave them out")
    if session.feature_file is not None:
        raise ConfigError(
            f"{spelled(session.feature_file.dataset.root)} holds features, not clips; a file of them is "
            "packed with `moclip pack FILE.safetensors`, and a folder of shards of them is copied as it is"
        )
    refuse_among_classes(session.experiment.data, folder, "--out")
    clips = session.dataset.clips
    extraction = session.extract(clips)
    reports = {r.stage: r for r in (extraction.motion, extraction.appearance) if r.keys}
    if not reports:
        raise DataError(
            f"{session.dataset.shown}: none of its clips can be read, so there is nothing to pack"
        )
    for stage, report in reports.items():
        session.cache.fetch(stage, report.keys.values())
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
    dataset = session.dataset
    number = {c.name: i for i, c in enumerate(dataset.clips)}
    notes = [[note.name, note.note] for r in reports.values() for note in r.notes]
    packed = session.inputs.packed
    made = {stage: STAGES[stage].version for stage in reports} if packed is None else packed.versions
    measured: dict[str, Any] = {"features": {s: version for s, version in made.items() if s in reports}}
    description: dict[str, Any] = {
        "labels": list(dataset.labels),
        "splits": {
            n: [sorted(number[c] for c in part) for part in parts] for n, parts in dataset.official.items()
        },
        "validation": {n: sorted(number[c] for c in part) for n, part in dataset.validation.items()},
        "stages": list(reports),
        "motion": {k: plain(v) for k, v in session.experiment.motion.reading().items() if k != "backend"},
        "notes": notes,
        "failures": {stage: {f.name: f.reason for f in r.failures} for stage, r in reports.items()},
        "encoder": None,
    }
    if "clip" in reports:
        description["encoder"], more = _encoder_facts(session)
        measured |= more
    kinds = dict.fromkeys(_names(reports), "string") | {entry_columns(s)[1]: "binary" for s in reports}
    return ShardPlan(
        kind=KIND,
        rows=len(rows),
        content=content_digest(rows),
        columns={},
        labels=kinds,
        description=description,
        measured=measured,
        shard_rows=shard_rows,
        row_group=_ROW_GROUP,
    )


def _encoder_facts(session: Session) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what decides the appearance features, what does not): of shards that are packed again, theirs."""
    packed = session.inputs.packed
    facts, clip = session.encoder.lazy, session.experiment.clip
    known = {} if packed is None else packed.encoder["settings"]
    settings = {name: plain(getattr(clip, name)) for name in CLIP_SETTINGS} | known
    pretrained = settings.pop("pretrained")  # a file lies elsewhere on another machine; the digest decides
    described = {
        "settings": settings,
        "run": {"seed": session.experiment.run.seed} if clip.random else {},
        "facts": {"digest": facts.digest, "random": facts.random},
        "classes": session.class_vectors.tolist() if session.inputs.has_text else None,
        "sentences": session.prompts.check(session.labels).all_sentences(session.labels),
    }
    return described, {"encoder": {"pretrained": pretrained, "cost": facts.cost}}


def _entry(session: Session, stage: str, key: str | None) -> bytes | None:
    """The file of a cache entry.

    Raises:
        CheckpointError: it is damaged, or was removed since.
    """
    if key is None:
        return None
    data = session.cache.read_raw(stage, key)
    if data is None:
        raise CheckpointError(
            f"a cache entry of {stage} is damaged or was removed while packing; "
            "`moclip pack` again reads its clip anew"
        )
    return data
