"""Features of a data set in shards: the same facts as a file of features has, and the same rules.

The names, labels, groups and divisions of the clips are columns of the shards; the features are read as they
are needed where they do not fit into the buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...errors import CheckpointError, DataError
from ...shards.index import Column, ShardIndex
from ...shards.read import ShardReader
from ...shards.write import Block, ShardPlan, write_shards
from .feature_description import description_of
from .feature_file import FeatureFile, FeatureRows
from .feature_storage import described_file

__all__ = ["DEFAULT_BUFFER", "KIND", "load_feature_shards", "pack_features"]

KIND: Final = "features"
DEFAULT_BUFFER: Final = 65_536
"""Clips in memory where ``data.buffer`` is not set."""

_PARTS: Final = ("train", "val", "test")
Positions = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def pack_features(
    folder: Path,
    file: FeatureFile,
    columns: Mapping[str, Column],
    read: Callable[[str, int, int], npt.NDArray[Any]],
    *,
    content: str,
    shard_rows: int = 65_536,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ShardIndex:
    """Write features as shards.

    Args:
        folder: to write.
        file: clips, labels, divisions, text embeddings and origin; its features are not looked at.
        columns: "motion", or "motion.0", "motion.1" ... for the folds of the origin, and "appearance".
        read: (column, start, stop) -> numbers of these clips, in the order of the data set.
        content: digest of the features, by which an interrupted packing is recognised.
        shard_rows: clips of a file.
        progress: called with (clips written, clips).

    Raises:
        ConfigError: the folder holds something else.
        MoclipError: the disk is full; finished shards are kept.
    """
    description = description_of(file.dataset, file.origin)
    clips = description.pop("clips")
    places = _divisions(description)
    facts = {**description, "classes": None if file.classes is None else file.classes.tolist()}
    labels = {"clip": "string", "label": "string", "group": "string"}
    labels |= {name: "string" if name.startswith(("split.", "fold.")) else "int32" for name in places}
    plan = ShardPlan(
        kind=KIND,
        rows=len(clips),
        content=content,
        columns=columns,
        labels=labels,
        description=facts,
        shard_rows=shard_rows,
    )

    def block(start: int, stop: int) -> Block:
        rows = clips[start:stop]
        values: dict[str, Any] = {
            name: [row[i] for row in rows] for i, name in enumerate(("clip", "label", "group"))
        }
        values |= {name: column(start, stop) for name, column in places.items()}
        return values | {name: read(name, start, stop) for name in columns}

    return write_shards(folder, plan, block, progress)


def _divisions(description: dict[str, Any]) -> dict[str, Callable[[int, int], list[Any]]]:
    """Columns of the splits and folds; their positions are taken out of the description."""
    columns: dict[str, Callable[[int, int], list[Any]]] = {}
    splits = description["splits"]
    for name, parts in splits.items():
        columns[f"split.{name}"], _ = _columns(dict(zip(("train", "test"), parts, strict=True)))
    description["splits"] = list(splits)
    for fold in () if description["origin"] is None else description["origin"]["folds"]:
        part, place = _columns({part: fold.pop(part) for part in _PARTS})
        columns |= {f"fold.{fold['name']}": part, f"place.{fold['name']}": place}
    return columns


def _columns(
    parts: Mapping[str, Sequence[int]],
) -> tuple[Callable[[int, int], list[Any]], Callable[[int, int], list[Any]]]:
    """Part of each clip, and its place in that part: (start, stop) -> values, None outside of all parts."""
    known = [np.asarray(positions, np.int64) for positions in parts.values()]
    size = 1 + max((int(positions.max()) for positions in known if len(positions)), default=-1)
    part, place = np.full(size, -1, np.int8), np.full(size, -1, np.int32)
    for number, positions in enumerate(known):
        part[positions], place[positions] = number, np.arange(len(positions))
    names = [*parts, None]

    def pad(values: list[Any], rows: int) -> list[Any]:
        return values + [None] * (rows - len(values))

    return (
        lambda start, stop: pad([names[n] for n in part[start:stop].tolist()], stop - start),
        lambda start, stop: pad([n if n >= 0 else None for n in place[start:stop].tolist()], stop - start),
    )


def load_feature_shards(reader: ShardReader, buffer: int | None) -> FeatureFile:
    """Read shards of features; into memory where the buffer holds all clips.

    Args:
        reader: of the shards.
        buffer: clips in memory; None for the default.

    Raises:
        CheckpointError: damaged, or not shards of features.
    """
    index, size = reader.index, DEFAULT_BUFFER if buffer is None else buffer
    rows = _ShardRows(reader)
    try:
        description = _description(reader)
        classes = description.pop("classes")
        shapes = {name: column.shape for name, column in index.columns.items()}
        vectors = None if classes is None else np.asarray(classes, np.float32)
        arrays = {} if vectors is None else {"classes": vectors}
        file = described_file(reader.folder, description, arrays, shapes, index.digest)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, DataError) as error:
        raise CheckpointError(f"{reader.shown} does not hold shards of features: {error}") from error
    streamed = replace(file, stream=rows, buffer=size)
    return streamed if index.rows > size else streamed.in_memory()


def _description(reader: ShardReader) -> dict[str, Any]:
    """The description as a file of features has it."""
    description = dict(reader.index.description)
    splits, origin = list(description["splits"]), description["origin"]
    folds = [] if origin is None else [str(fold["name"]) for fold in origin["folds"]]
    names = ["clip", "label", "group", *(f"split.{name}" for name in splits)]
    names += [f"{kind}.{name}" for name in folds for kind in ("fold", "place")]
    table = reader.table(names)
    columns = [table.column(name).to_pylist() for name in ("clip", "label", "group")]
    description["clips"] = [list(row) for row in zip(*columns, strict=True)]

    def positions(column: str, part: str) -> list[int]:
        import pyarrow.compute as pc

        mask = pc.fill_null(pc.equal(table.column(column), part), False)
        return [int(i) for i in np.flatnonzero(mask.to_numpy())]

    description["splits"] = {
        name: [positions(f"split.{name}", part) for part in ("train", "test")] for name in splits
    }
    if origin is not None:
        places = {name: table.column(f"place.{name}").to_numpy() for name in folds}
        description["origin"] = {
            **origin,
            "folds": [
                {
                    "name": name,
                    **{
                        part: sorted(positions(f"fold.{name}", part), key=places[name].__getitem__)
                        for part in _PARTS
                    },
                }
                for name in folds
            ],
        }
    return description


class _ShardRows(FeatureRows):
    """Features of clips, read from shards."""

    def __init__(self, reader: ShardReader) -> None:
        self._reader = reader

    def read(self, columns: Sequence[str], positions: Positions) -> Iterator[tuple[Positions, list[Floats]]]:
        return self._reader.numbers(columns, positions)
