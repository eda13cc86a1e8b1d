"""Writing a data set's motion and appearance features from the cache as shards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..datasets.extraction import ExtractReport
from ..errors import CheckpointError, ConfigError, DataError
from ..shards.cached import entry_columns
from ..shards.index import ShardIndex, content_digest
from ..shards.write import Block, ShardPlan, write_shards
from .packed import CLIP_SETTINGS, KIND, plain

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
        ConfigError: the folder holds something else, or appearance features of one's own.
        MoclipError: the disk is full; finished shards are kept.
    """
    if session.inputs.own_appearance is not None or session.experiment.data.train_recipes:
        raise ConfigError("data.appearance and data.train_recipes can't be packed; leave them out")
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
        "motion": {k: plain(v) for k, v in session.experiment.motion.reading().items() if k != "backend"},
        "notes": notes,
        "failures": {stage: {f.name: f.reason for f in r.failures} for stage, r in reports.items()},
        "encoder": None,
    }
    if "clip" in reports:
        facts = session.encoder.lazy
        description["encoder"] = {
            "settings": {name: plain(getattr(clip, name)) for name in CLIP_SETTINGS},
            "run": {"seed": session.experiment.run.seed} if clip.random else {},
            "facts": {"digest": facts.digest, "cost": facts.cost, "random": facts.random},
            "classes": session.class_vectors.tolist() if session.inputs.has_text else None,
            "sentences": session.prompts.check(dataset.labels).all_sentences(dataset.labels),
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


def _entry(session: Session, stage: str, key: str | None) -> bytes | None:
    """The file of a cache entry.

    Raises:
        CheckpointError: it is damaged, or was removed since.
    """
    if key is None:
        return None
    if session.cache.get(stage, key) is None:
        raise CheckpointError(
            f"a cache entry of {stage} is damaged or was removed while packing; "
            "`moclip pack` again reads its clip anew"
        )
    return session.cache.path(stage, key).read_bytes()
