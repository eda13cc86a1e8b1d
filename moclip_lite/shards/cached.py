"""A feature cache whose entries lie in shards; what is computed from them goes to the cache folder."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..errors import CheckpointError
from ..storage.cache import Arrays, FeatureCache
from .read import ShardReader

__all__ = ["NEIGHBOURS", "ShardedCache", "clips_in_memory", "entry_columns"]

_HELD: Final = 512 << 20  # bytes of entries in memory
NEIGHBOURS: Final = 64
"""Entries that are read together."""


def entry_columns(stage: str) -> tuple[str, str]:
    """Names of the columns with the keys and the files of a stage's entries."""
    return f"{stage}.key", f"{stage}.entry"


class ShardedCache(FeatureCache):
    """Entries of shards first, then those of a cache folder.

    Args:
        root: of the cache folder.
        reader: of the shards.
        stages: which the shards hold.
    """

    def __init__(self, root: Path | None, reader: ShardReader, stages: tuple[str, ...]) -> None:
        super().__init__(root)
        self._reader = reader
        table = reader.table([entry_columns(stage)[0] for stage in stages])
        self._positions = {
            (stage, str(key)): position
            for stage in stages
            for position, key in enumerate(table.column(entry_columns(stage)[0]).to_pylist())
            if key is not None
        }
        self._held: OrderedDict[tuple[str, int], list[bytes | None]] = OrderedDict()
        self._bytes = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": OrderedDict(), "_bytes": 0}

    def has(self, stage: str, key: str) -> bool:
        """Whether the shards or the cache folder hold an entry."""
        return (stage, key) in self._positions or super().has(stage, key)

    def get(self, stage: str, key: str) -> Arrays | None:
        """Read and check an entry.

        Raises:
            CheckpointError: a shard is damaged.
        """
        position = self._positions.get((stage, key))
        return super().get(stage, key) if position is None else self._packed(stage, key, position)[1]

    def read_raw(self, stage: str, key: str) -> bytes | None:
        """The file of an entry, which is checked.

        Raises:
            CheckpointError: a shard is damaged.
        """
        position = self._positions.get((stage, key))
        return super().read_raw(stage, key) if position is None else self._packed(stage, key, position)[0]

    def fetch(self, stage: str, keys: Iterable[str]) -> None:
        """Copy the entries that lie neither in the shards nor in the local folder from the cache's URL.

        Raises:
            CacheUnavailable: the URL can't be read, or the folder can't be written.
        """
        super().fetch(stage, (key for key in keys if (stage, key) not in self._positions))

    def _packed(self, stage: str, key: str, position: int) -> tuple[bytes, Arrays]:
        """The file of an entry in the shards, and its arrays.

        Raises:
            CheckpointError: it is damaged.
        """
        data = self._neighbours(stage, position)[position % NEIGHBOURS]
        try:
            if data is None:
                raise CheckpointError("it is missing")
            return data, self.read_bytes(data, key)
        except CheckpointError as error:
            raise CheckpointError(
                f"{self._reader.shown}: the {stage} of clip {position} is damaged ({error})"
            ) from error

    def _neighbours(self, stage: str, position: int) -> list[bytes | None]:
        place = stage, position // NEIGHBOURS
        if place in self._held:
            self._held.move_to_end(place)
            return self._held[place]
        first = place[1] * NEIGHBOURS
        rows = np.arange(first, min(first + NEIGHBOURS, self._reader.index.rows))
        entries = [data for _, data in self._reader.blobs(entry_columns(stage)[1], rows)]
        self._held[place] = entries
        self._bytes += _size(entries)
        while self._bytes > _HELD and len(self._held) > 1:
            self._bytes -= _size(self._held.popitem(last=False)[1])
        return entries


def clips_in_memory(reader: ShardReader) -> int:
    """Clips whose entries a :class:`ShardedCache` holds in memory, by their mean size."""
    return max(NEIGHBOURS, _HELD * reader.index.rows // max(1, reader.index.size))


def _size(entries: list[bytes | None]) -> int:
    return sum(len(data) for data in entries if data is not None)
