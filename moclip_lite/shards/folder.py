"""The folder that shards lie in: on a file system, or at a URL, where they are read by ranges."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from mv_tools import SourceChanged
from mv_tools.atomic import remove_drafts
from mv_tools.remote import RangeReader, RemoteFile
from mv_tools.urls import is_url, spelled

from ..errors import CheckpointError, ConfigError
from ..storage.digest import digest_bytes, digest_file
from ..storage.lease import Lease
from ..storage.lock import FolderLock
from ..storage.objects import ObjectFolder
from .index import BLOCK, Shard

__all__ = ["LOCK", "ShardFolder"]

LOCK: Final = ".pack.lock"
_CHUNK: Final = 8 << 20
_HELD: Final = 64  # blocks of a file in memory, 16 MB


class ShardFolder:
    """A folder of shards.

    Args:
        path: of the folder, or its URL.

    Attributes:
        path: as it was given.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._remote = ObjectFolder.at(path) if is_url(path) else None

    def __reduce__(self) -> tuple[type[ShardFolder], tuple[Path]]:
        return type(self), (self.path,)

    def __str__(self) -> str:
        return spelled(self.path)

    @property
    def remote(self) -> bool:
        """Whether it is at a URL."""
        return self._remote is not None

    def make(self) -> None:
        """Make the folder; at a URL there is nothing to make."""
        if self._remote is None:
            self.path.mkdir(parents=True, exist_ok=True)

    def names(self) -> list[str]:
        """Names of the files, those that begin with a dot left out."""
        return [name for name in self._present() if not name.startswith(".")]

    def _present(self) -> list[str]:
        return self._remote.names() if self._remote is not None else [p.name for p in self.path.iterdir()]

    def unlisted(self, shards: Iterable[Shard]) -> list[str]:
        """Names of Parquet and tar files beside shards, hidden ones too; none where a URL can't be listed."""
        try:
            present = self._present()
        except OSError:
            if not self.remote:
                raise
            return []
        listed = {shard.file for shard in shards}
        return sorted(n for n in present if n.endswith((".parquet", ".tar")) and n not in listed)

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """Bytes of the files that are there."""
        if self._remote is not None:
            return {name: version.size for name, version in self._remote.versions(names).items()}
        paths = [self.path / name for name in names]
        return {path.name: path.stat().st_size for path in paths if path.is_file()}

    def digest(self, name: str) -> str:
        """BLAKE2b of a file's content, all of which is read; "" where the server tells that it is damaged."""
        if self._remote is None:
            return digest_file(self.path / name)
        try:
            with self._remote.open(name) as file:
                return digest_bytes(iter(lambda: file.read(_CHUNK), b""))
        except SourceChanged:
            return ""

    def open(self, shard: Shard) -> Path | BinaryIO:
        """A shard as pyarrow takes it; at a URL each block is checked when it is read.

        Raises:
            CheckpointError: a shard at a URL that was packed without digests of its blocks.
            OSError: it can't be read.
        """
        if self._remote is None:
            return self.path / shard.file
        if len(shard.blocks) != -(-shard.size // BLOCK):
            raise CheckpointError(
                f"{self} was packed by an earlier version, without digests of parts of its files; "
                "pack it again, or copy it here"
            )
        return _CheckedFile(RemoteFile(self._remote.url_of(shard.file)), shard)  # type: ignore[return-value]

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        if self._remote is not None:
            self._remote.remove(name)
        else:
            (self.path / name).unlink(missing_ok=True)

    def remove_drafts(self) -> None:
        """Remove what killed packings left of files; at a URL no file is written in part."""
        if self._remote is None:
            remove_drafts(self.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder: one process at a time packs into it.

        Raises:
            ConfigError, CheckpointError: another one does.
        """
        if self._remote is not None:
            with Lease(self._remote, LOCK, "packing").held():
                yield
            return
        busy = ConfigError(f"{self}: another process is packing into this folder")
        with FolderLock(self.path / LOCK).held(busy):
            yield


class _CheckedFile(RangeReader):
    """A shard at a URL as a file; every byte that it gives belongs to a block whose digest was compared."""

    def __init__(self, file: RemoteFile, shard: Shard) -> None:
        super().__init__()
        self._file, self._shard = file, shard
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        if file.size != shard.size:
            raise CheckpointError(
                _damaged(file.url, f"has {file.size} bytes, not the {shard.size} of the index")
            )

    @property
    def size(self) -> int:
        return self._shard.size

    def read_at(self, offset: int, size: int) -> bytes:
        start, end = offset, min(offset + size, self.size)
        if start >= end:
            return b""
        first, last = start // BLOCK, (end - 1) // BLOCK
        held = {number: self._blocks[number] for number in range(first, last + 1) if number in self._blocks}
        missing = [number for number in range(first, last + 1) if number not in held]
        if missing:  # in one request, also where some between are known
            held |= self._fetch(missing[0], missing[-1])
        data = b"".join(held[number] for number in range(first, last + 1))
        self._blocks |= held
        while len(self._blocks) > _HELD:
            self._blocks.popitem(last=False)
        return data[start - first * BLOCK : end - first * BLOCK]

    def _fetch(self, first: int, last: int) -> dict[int, bytes]:
        """Blocks from the server.

        Raises:
            CheckpointError: one does not match its digest.
            SourceChanged: the object is another one than when it was opened.
        """
        data = self._file.read_range(first * BLOCK, min((last + 1) * BLOCK, self._shard.size))
        blocks = {}
        for number in range(first, last + 1):
            block = data[(number - first) * BLOCK : (number - first + 1) * BLOCK]
            if digest_bytes([block]) != self._shard.blocks[number]:
                raise CheckpointError(_damaged(self._file.url, "does not match its checksum"))
            blocks[number] = block
        return blocks


def _damaged(name: str, how: str) -> str:
    return f"{name} {how}; `moclip pack` into the same folder writes it again"
