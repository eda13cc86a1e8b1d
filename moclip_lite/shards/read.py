"""Reading rows of shards: each file is checked before anything is taken from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from mv_tools.urls import spelled

from ..errors import CheckpointError
from .folder import ShardFolder
from .index import INDEX, Shard, ShardIndex

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["ShardReader"]

Positions = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
_OPEN: Final = 16  # files held open


class ShardReader:
    """Rows of a folder of shards. It can be pickled: another process opens the files again.

    Args:
        folder: of the shards, or its URL: there rows are read by ranges,
            and each block of a file is checked as it comes.

    Attributes:
        folder: of the shards.
        shown: the folder or the URL, for messages.
        index: what they hold.

    Raises:
        DataError: no folder of shards.
        CheckpointError: its index is damaged, or a shard is missing or cut.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.index = folder, ShardIndex.read(folder / INDEX)
        self._place, self.shown = ShardFolder(folder), spelled(folder)
        self._starts = np.cumsum([0, *(shard.rows for shard in self.index.shards)])
        self._files: dict[int, pq.ParquetFile] = {}
        self._checked: set[int] = set()
        sizes = self._place.sizes(shard.file for shard in self.index.shards)
        for shard in self.index.shards:
            self._check_size(shard, sizes.get(shard.file))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}

    def table(self, columns: Sequence[str]) -> pa.Table:
        """Columns of all rows, with one chunk for each row group.

        Raises:
            CheckpointError: a shard is damaged.
        """
        import pyarrow as pa

        numbers = range(len(self.index.shards))
        parts = [self._guarded(n, partial(_all, columns)) for n in numbers]
        return pa.concat_tables(parts).select(list(columns))

    def numbers(self, names: Sequence[str], positions: Positions) -> Iterator[tuple[Positions, list[Floats]]]:
        """Numbers of chosen rows, row group by row group.

        Args:
            names: of columns of numbers.
            positions: of rows, in any order.

        Yields:
            (places in `positions`, for each name float32 [places, ...]).

        Raises:
            CheckpointError: a shard is damaged, or a number is not finite.
        """
        order = np.argsort(positions, kind="stable")
        for shard, group, places, rows in self._groups(positions, order):
            table = self._guarded(shard, partial(_group, group, names))
            yield places, [self._floats(table, name, shard)[rows] for name in names]

    def blobs(self, name: str, positions: Positions) -> Iterator[tuple[int, bytes | None]]:
        """(place in `positions`, value) of a binary column, row group by row group."""
        order = np.argsort(positions, kind="stable")
        for shard, group, places, rows in self._groups(positions, order):
            table = self._guarded(shard, partial(_group, group, [name]))
            column = table.column(name)
            for place, row in zip(places.tolist(), rows.tolist(), strict=True):
                value = column[row].as_py()
                if not isinstance(value, bytes | None):
                    raise CheckpointError(f"{self._path(shard)}: {name} does not hold bytes")
                yield place, value

    def verify(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Read every shard and compare its checksum.

        Raises:
            CheckpointError: of the first shard that is damaged, or of files that are no shards.
        """
        for number, shard in enumerate(self.index.shards):
            self._open(number)
            if self._place.remote and self._place.digest(shard.file) != shard.digest:
                raise CheckpointError(self._mismatch(number))
            progress(number + 1, len(self.index.shards))
        unlisted = self._place.unlisted(self.index.shards)
        if unlisted:
            raise CheckpointError(
                f"{self.shown} holds {len(unlisted)} file(s) that its {INDEX} does not list, the first is "
                f"{unlisted[0]}; remove them: a query of all files would count their rows"
            )

    def _groups(
        self, positions: Positions, order: Positions
    ) -> Iterator[tuple[int, int, Positions, Positions]]:
        """(shard, row group, places in positions, rows in the group)."""
        ranked = positions[order]
        cuts = np.searchsorted(ranked, self._starts)
        for shard in np.flatnonzero(np.diff(cuts)):
            part = slice(cuts[shard], cuts[shard + 1])
            local, places = ranked[part] - self._starts[shard], order[part]
            edges = self._edges(int(shard))
            steps = np.searchsorted(local, edges)
            for group in np.flatnonzero(np.diff(steps)):
                inner = slice(steps[group], steps[group + 1])
                yield int(shard), int(group), places[inner], local[inner] - edges[group]

    def _edges(self, shard: int) -> Positions:
        """First rows of the row groups of a shard, and its end."""
        metadata = self._open(shard).metadata
        counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        return np.cumsum([0, *counts])

    def _floats(self, table: pa.Table, name: str, shard: int) -> Floats:
        shape = self.index.columns[name].shape
        column = table.column(name).combine_chunks()
        chunk = column.chunk(0) if hasattr(column, "chunk") else column
        try:
            numbers = np.asarray(chunk.flatten().to_numpy(zero_copy_only=False), np.float32)
        except (AttributeError, TypeError, ValueError) as error:
            raise CheckpointError(f"{self._path(shard)}: {name} does not hold numbers") from error
        if chunk.null_count or numbers.size != len(table) * int(np.prod(shape)):
            raise CheckpointError(f"{self._path(shard)}: {name} holds a row without numbers")
        if not np.isfinite(numbers).all():
            raise CheckpointError(f"{self._path(shard)}: {name} holds a number that is not finite")
        return numbers.reshape(len(table), *shape)

    def _path(self, shard: int) -> str:
        return spelled(self.folder / self.index.shards[shard].file)

    def _mismatch(self, shard: int) -> str:
        return (
            f"{self._path(shard)} does not match its checksum; "
            "`moclip pack` into the same folder writes it again"
        )

    def _check_size(self, shard: Shard, size: int | None) -> None:
        path = spelled(self.folder / shard.file)
        if size is None:
            raise CheckpointError(f"{path} is missing; `moclip pack` into the same folder writes it again")
        if size != shard.size:
            raise CheckpointError(
                f"{path} has {size} bytes, not the {shard.size} of the index: it is cut or was "
                "changed; `moclip pack` into the same folder writes it again"
            )

    def _open(self, number: int) -> pq.ParquetFile:
        """Open a shard; its checksum is compared once in each process."""
        if number in self._files:
            return self._files[number]
        import pyarrow as pa
        import pyarrow.parquet as pq

        shard = self.index.shards[number]
        if number not in self._checked and not self._place.remote:
            self._check_size(shard, self._place.sizes([shard.file]).get(shard.file))
            if self._place.digest(shard.file) != shard.digest:
                raise CheckpointError(self._mismatch(number))
        try:
            file = pq.ParquetFile(self._place.open(shard))
        except pa.ArrowException as error:
            raise CheckpointError(f"{self._path(number)} is not a Parquet file that can be read") from error
        self._check_place(number, file)
        self._checked.add(number)
        while len(self._files) >= _OPEN:
            self._files.pop(next(iter(self._files))).close()
        self._files[number] = file
        return file

    def _check_place(self, number: int, file: pq.ParquetFile) -> None:
        """Refuse a shard of another data set, or at another place."""
        facts = file.schema_arrow.metadata or {}
        expected = {
            b"moclip.plan": self.index.plan,
            b"moclip.shard": str(number),
            b"moclip.first": str(self._starts[number]),
        }
        same = all(facts.get(key) == value.encode() for key, value in expected.items())
        if not same or file.metadata.num_rows != self.index.shards[number].rows:
            raise CheckpointError(
                f"{self._path(number)} belongs to other shards "
                f"than {spelled(self.folder / INDEX)}; pack them again"
            )

    def _guarded(self, number: int, read: Callable[[pq.ParquetFile], pa.Table]) -> pa.Table:
        import pyarrow as pa

        try:
            return read(self._open(number))
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            raise CheckpointError(f"{self._path(number)} can't be read: {error}") from error


def _all(names: Sequence[str], file: pq.ParquetFile) -> pa.Table:
    return _complete(file.read(columns=list(names)), names)


def _group(group: int, names: Sequence[str], file: pq.ParquetFile) -> pa.Table:
    return _complete(file.read_row_group(group, columns=list(names), use_threads=False), names)


def _complete(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The table; pyarrow leaves out columns that a file lacks."""
    for name in names:
        if name not in table.column_names:
            raise ValueError(f"it has no column {name}; pack again")
    return table
