"""Index of a folder of shards: which files, how many rows in each, what their columns hold."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mv_tools.urls import is_url, spelled

from ..errors import CheckpointError, DataError
from ..storage.digest import digest_bytes
from ..storage.files import read_json, write_json
from ..storage.url_files import fetched

__all__ = ["BLOCK", "INDEX", "PART", "Column", "Shard", "ShardIndex", "block_digests", "content_digest"]

INDEX: Final = "index.json"
BLOCK: Final = 256 << 10
"""Bytes of a file that have a digest of their own, by which parts of it are checked."""

PART: Final = re.compile(r"part-\d{5,}\.parquet", re.ASCII)
"""Names of the files that packing writes."""

_FORMAT: Final = "moclip-shards-1"
_FILE: Final = re.compile(r"[\w.-]{1,100}\.parquet", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{32}")
_DTYPES: Final = ("float16", "float32")
_MOST_ROWS: Final = 1 << 40
_MOST_INDEX: Final = 1 << 30  # bytes


@dataclass(frozen=True)
class Column:
    """Numbers of a clip.

    Attributes:
        shape: of a clip's array.
        dtype: "float16" or "float32", as stored.
    """

    shape: tuple[int, ...]
    dtype: str = "float16"


@dataclass(frozen=True)
class Shard:
    """One file of shards.

    Attributes:
        file: its name.
        rows: clips in it.
        size: in bytes.
        digest: BLAKE2b of its content.
        blocks: BLAKE2b of each :data:`BLOCK` of it; empty in shards of earlier versions.
    """

    file: str
    rows: int
    size: int
    digest: str
    blocks: tuple[str, ...] = ()

    def values(self) -> dict[str, Any]:
        """As the index has it."""
        facts = {"file": self.file, "rows": self.rows, "size": self.size, "digest": self.digest}
        return facts | ({"blocks": list(self.blocks)} if self.blocks else {})


@dataclass(frozen=True)
class ShardIndex:
    """Content of ``index.json``.

    Attributes:
        kind: what the rows are, such as "features".
        plan: digest of what was to be written; each shard carries it.
        columns: name -> numbers of each clip.
        description: plain values that say what the rows mean.
        shards: the files, in the order of their rows.
    """

    kind: str
    plan: str
    columns: Mapping[str, Column]
    description: Mapping[str, Any]
    shards: tuple[Shard, ...]

    @property
    def rows(self) -> int:
        """Clips in all shards."""
        return sum(shard.rows for shard in self.shards)

    @property
    def size(self) -> int:
        """Bytes of all shards."""
        return sum(shard.size for shard in self.shards)

    @property
    def digest(self) -> str:
        """Digest of all that the index says, the digests of the shards included."""
        return content_digest(self._values())

    def write(self, path: Path) -> None:
        """Write the index atomically."""
        write_json(path, {**self._values(), "digest": self.digest})

    def _values(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "kind": self.kind,
            "plan": self.plan,
            "columns": {n: {"shape": list(c.shape), "dtype": c.dtype} for n, c in self.columns.items()},
            "description": dict(self.description),
            "shards": [shard.values() for shard in self.shards],
        }

    @classmethod
    def read(cls, path: Path) -> ShardIndex:
        """Read an index.

        Args:
            path: of the file, or its URL.

        Raises:
            DataError: there is none.
            CheckpointError: damaged, or its values contradict each other.
        """
        if not is_url(path) and not path.is_file():
            raise DataError(_none_there(path))
        try:
            value = read_json(fetched(path, _MOST_INDEX))
        except FileNotFoundError as error:
            raise DataError(_none_there(path)) from error
        try:
            index = cls(
                str(value["kind"]),
                _digest(value["plan"]),
                {str(name): _column(row) for name, row in value["columns"].items()},
                dict(value["description"]),
                tuple(_shard(row) for row in value["shards"]),
            )
            if value["format"] != _FORMAT:
                raise ValueError(f"its format is {str(value['format'])[:40]!r}, not {_FORMAT}")
            if value["digest"] != index.digest:
                raise ValueError("its content does not match its digest")
            if len({shard.file for shard in index.shards}) < len(index.shards):
                raise ValueError("a file is listed twice")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise CheckpointError(
                f"{spelled(path)} is damaged or not an index of shards: {reason}"
            ) from error
        return index


def _none_there(path: Path) -> str:
    return f"{spelled(path.parent)} is no folder of shards: it holds no {path.name}; see `moclip pack`"


def block_digests(path: Path) -> tuple[str, ...]:
    """Digest of each :data:`BLOCK` of a local file."""
    with path.open("rb") as file:
        return tuple(digest_bytes([block]) for block in iter(lambda: file.read(BLOCK), b""))


def content_digest(values: object) -> str:
    """Digest of plain values."""
    return digest_bytes([json.dumps(values, sort_keys=True, separators=(",", ":")).encode()])


def _digest(value: object) -> str:
    if not isinstance(value, str) or _DIGEST.fullmatch(value) is None:
        raise ValueError("a digest is not 32 hex digits")
    return value


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < _MOST_ROWS:
        raise ValueError("a number is out of range")
    return value


def _column(row: Mapping[str, Any]) -> Column:
    shape = tuple(_count(size) for size in row["shape"])
    if row["dtype"] not in _DTYPES or not 1 <= len(shape) <= 4 or 0 in shape:
        raise ValueError("a column has an impossible shape or type")
    return Column(shape, str(row["dtype"]))


def _shard(row: Mapping[str, Any]) -> Shard:
    file = str(row["file"])
    if _FILE.fullmatch(file) is None:  # no path: an index names files beside it only
        raise ValueError("a file has an impossible name")
    blocks = tuple(_digest(digest) for digest in row.get("blocks", ()))
    return Shard(file, _count(row["rows"]), _count(row["size"]), _digest(row["digest"]), blocks)
