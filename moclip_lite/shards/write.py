"""Writing shards: file by file, each atomically, so that an interrupted packing goes on where it ended."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import CheckpointError, ConfigError
from ..storage.digest import digest_file
from ..storage.files import atomic_path
from .folder import ShardFolder
from .index import INDEX, PART, Column, Shard, ShardIndex, block_digests, content_digest

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ROW_GROUP", "Block", "ShardPlan", "write_shards"]

ROW_GROUP: Final = 1024
"""Rows of a row group of features: what is read at once at least."""

_DRAFT: Final = "index.partial.json"

Block: TypeAlias = "Mapping[str, npt.NDArray[Any] | list[Any]]"
"""Column name -> values of some rows: arrays [rows, ...] of numbers; lists of str, bytes, int or None."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardPlan:
    """What is to be written.

    Attributes:
        kind: what the rows are.
        rows: their number.
        content: digest of their content, or of all that decides it.
        columns: numbers of each clip.
        labels: other columns: name -> "string", "binary" or "int32"; values may be None.
        description: plain values for the index, which decide the content or follow from it.
        measured: plain values for the index that another machine or attempt may have otherwise.
        shard_rows: rows of a file.
        row_group: rows that are read at once at least.
    """

    kind: str
    rows: int
    content: str
    columns: Mapping[str, Column]
    labels: Mapping[str, str]
    description: Mapping[str, Any]
    measured: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    shard_rows: int = 64 * ROW_GROUP
    row_group: int = ROW_GROUP

    @property
    def digest(self) -> str:
        """Digest of the plan but what was measured; shards of another one are not gone on with."""
        values = dataclasses.asdict(self)
        del values["measured"]
        return content_digest(values)


def write_shards(
    folder: Path,
    plan: ShardPlan,
    block: Callable[[int, int], Block],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ShardIndex:
    """Write shards; those that an interrupted call with the same plan left are kept.

    Args:
        folder: to write, or its URL; made where it is absent.
        plan: what to write.
        block: (start, stop) -> the values of these rows; called for one row group at a time.
        progress: called with (rows written, rows).

    Returns:
        The index, which is written last: where it stands, the shards are complete.

    Raises:
        ConfigError: the folder holds something else, or another process is packing into it.
        CheckpointError: another process is packing at the URL.
        OSError: the URL can't be written; finished shards are kept.
        MoclipError: the disk is full; finished shards are kept.
    """
    place = ShardFolder(folder)
    place.make()
    with place.locked():
        index = _finished(place, plan)
        if index is None:
            shards = _kept(place, plan)
            place.remove_drafts()  # before the work: they may be large
            index = _write_rest(place, plan, shards, block, progress)
            _tidy(place, index)
            index.write(folder / INDEX)
        else:
            _tidy(place, index)
        place.remove(_DRAFT)
        return index


def _write_rest(
    place: ShardFolder,
    plan: ShardPlan,
    shards: list[Shard],
    block: Callable[[int, int], Block],
    progress: Callable[[int, int], None],
) -> ShardIndex:
    """Write the shards behind those that are there, which are added to the list, and a draft of the index.

    The draft is written first of all, too: it says whose the folder is.
    """
    _index(plan, shards).write(place.path / _DRAFT)
    for number, start in enumerate(range(0, plan.rows, plan.shard_rows)):
        stop = min(start + plan.shard_rows, plan.rows)
        if number >= len(shards):
            shards.append(_write_shard(place.path, plan, number, (start, stop), block))
            _index(plan, shards).write(place.path / _DRAFT)
        progress(stop, plan.rows)
    return _index(plan, shards)


def _index(plan: ShardPlan, shards: list[Shard]) -> ShardIndex:
    description = {**plan.description, **({"measured": plan.measured} if plan.measured else {})}
    return ShardIndex(plan.kind, plan.digest, plan.columns, description, tuple(shards))


def _finished(place: ShardFolder, plan: ShardPlan) -> ShardIndex | None:
    """The index of the same shards, if they are complete.

    Raises:
        ConfigError: the folder holds something else.
    """
    names = set(place.names())
    if INDEX in names:
        index = _read(place, INDEX)
        if index is None or index.plan != plan.digest:
            raise ConfigError(f"{place} holds other shards; name another folder with --out, or remove it")
        if len(_intact(place, index)) == len(index.shards):
            return index
        index.write(place.path / _DRAFT)
        place.remove(INDEX)
    elif _DRAFT not in names and names:
        raise ConfigError(f"{place} is not empty; name another folder with --out")
    return None


def _kept(place: ShardFolder, plan: ShardPlan) -> list[Shard]:
    """Shards that an interrupted packing of the same plan left, up to the first that is damaged.

    Raises:
        ConfigError: it was of another plan, or its index is damaged.
    """
    if _DRAFT not in place.names():
        return []
    draft = _read(place, _DRAFT)
    if draft is None:
        raise ConfigError(
            f"{place} holds an interrupted packing whose {_DRAFT} is damaged; "
            "name another folder with --out, or remove it"
        )
    if draft.plan != plan.digest:
        raise ConfigError(
            f"{place} holds an interrupted packing of something else, with other settings or by another "
            "version of this program; finish it with its own command, name another folder with --out, "
            "or remove it"
        )
    return _intact(place, draft)


def _read(place: ShardFolder, name: str) -> ShardIndex | None:
    """An index of the folder; None if it is damaged."""
    try:
        return ShardIndex.read(place.path / name)
    except CheckpointError:
        return None


def _tidy(place: ShardFolder, index: ShardIndex) -> None:
    """Remove what packing wrote and the index does not list, which queries of all files would count."""
    place.remove_drafts()
    for name in set(place.names()) - {shard.file for shard in index.shards}:
        if PART.fullmatch(name):
            place.remove(name)


def _intact(place: ShardFolder, index: ShardIndex) -> list[Shard]:
    """The shards up to the first that is damaged, or was written without digests of its blocks."""
    intact = []
    sizes = place.sizes(shard.file for shard in index.shards)
    for shard in index.shards:
        if (
            sizes.get(shard.file) != shard.size
            or not shard.blocks
            or place.digest(shard.file) != shard.digest
        ):
            break
        intact.append(shard)
    return intact


def _write_shard(
    folder: Path, plan: ShardPlan, number: int, rows: tuple[int, int], block: Callable[[int, int], Block]
) -> Shard:
    import pyarrow.parquet as pq

    path = folder / f"part-{number:05d}.parquet"
    schema = _schema(plan, number, rows[0])
    with atomic_path(path) as draft:
        writer = pq.ParquetWriter(draft, schema, compression="none", use_dictionary=["label"])
        with writer:
            for start in range(*rows, plan.row_group):
                stop = min(start + plan.row_group, rows[1])
                writer.write_batch(_batch(plan, schema, block(start, stop), stop - start))
        size, digest, blocks = draft.stat().st_size, digest_file(draft), block_digests(draft)
    return Shard(path.name, rows[1] - rows[0], size, digest, blocks)


def _schema(plan: ShardPlan, number: int, first: int) -> pa.Schema:
    import pyarrow as pa

    kinds = {"string": pa.string(), "binary": pa.binary(), "int32": pa.int32()}
    fields = [pa.field(name, kinds[kind]) for name, kind in plan.labels.items()]
    for name, column in plan.columns.items():
        value = pa.float16() if column.dtype == "float16" else pa.float32()
        fields.append(pa.field(name, pa.list_(value, int(np.prod(column.shape))), nullable=False))
    facts = {"moclip.plan": plan.digest, "moclip.shard": str(number), "moclip.first": str(first)}
    if len({field.name for field in fields}) < len(fields):
        raise ValueError("two columns have the same name")
    return pa.schema(fields, facts)


def _batch(plan: ShardPlan, schema: pa.Schema, block: Block, rows: int) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = []
    for field in schema:
        values = block[field.name]
        column = plan.columns.get(field.name)
        if column is None:
            arrays.append(pa.array(values, field.type))
            continue
        numbers = np.ascontiguousarray(values, column.dtype)
        if numbers.shape != (rows, *column.shape):
            raise ValueError(f"{field.name} must be {[rows, *column.shape]}, got {list(numbers.shape)}")
        flat = pa.array(numbers.reshape(-1))
        arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
