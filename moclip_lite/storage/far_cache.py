"""Cache entries at a URL, behind a local cache folder: what one machine computes is there for the others.

Entries are named by all that decides their content, and hold its digest: none ever changes, so that no locks
are needed, and two machines that write the same one write the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from mv_tools import SourceChanged

from ..errors import CacheUnavailable
from .local_file import local_path
from .objects import ObjectFolder

__all__ = ["Entry", "FarEntries"]

_REQUESTS: Final = 16  # at once
_SUFFIX: Final = ".safetensors"


@dataclass(frozen=True)
class Entry:
    """File of an entry.

    Attributes:
        stage, key: of the entry.
        path: of its file, or its URL as a path holds it.
        size: in bytes.
        modified: seconds since the epoch.
    """

    stage: str
    key: str
    path: Path
    size: int
    modified: float


class FarEntries:
    """Entries at ``URL/stage/ke/key.safetensors``.

    Args:
        path: the URL, as a path holds it.

    Attributes:
        path: as it was given.
        url: the URL.

    Raises:
        mv_tools.BackendUnavailable: a package is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = ObjectFolder.at(path)
        self.url = self._folder.url
        self._listed: dict[str, set[str]] = {}

    def __reduce__(self) -> tuple[type[FarEntries], tuple[Path]]:
        return type(self), (self.path,)

    def has(self, stage: str, key: str) -> bool:
        """Whether there is an entry, as far as the list of its stage tells, which is asked for once.

        Raises:
            CacheUnavailable: the server refuses, or can't be reached.
        """
        if stage not in self._listed:
            with self._access():
                self._listed[stage] = {PurePosixPath(name).stem for name in self._folder.names(stage)}
        return key in self._listed[stage]

    def forget_list(self) -> None:
        """Ask for the lists again: other machines have written entries."""
        self._listed.clear()

    def fetch(self, stage: str, key: str, target: Path) -> bool:
        """Copy an entry to its place in the local folder; False where there is none.

        Raises:
            CacheUnavailable: the server refuses, or can't be reached.
        """
        data = self.read(stage, key)
        if data is None:
            return False
        with local_path(target) as draft:
            draft.write_bytes(data)
        return True

    def fetch_all(self, entries: Iterable[tuple[str, str, Path]]) -> None:
        """Copy many entries at once.

        Args:
            entries: stage, key and local place of each.

        Raises:
            CacheUnavailable: the server refuses, or can't be reached.
        """
        with ThreadPoolExecutor(_REQUESTS) as pool:
            for _ in pool.map(lambda entry: self.fetch(*entry), entries):
                pass

    def send(self, stage: str, key: str, source: Path) -> None:
        """Write an entry from its local file.

        Raises:
            CacheUnavailable: the server refuses, or can't be reached; the local file stays.
        """
        with self._access():
            self._folder.write(_name(stage, key), source.read_bytes())
        if stage in self._listed:
            self._listed[stage].add(key)

    def entries(self) -> Iterator[Entry]:
        """All entries, by stage and key.

        Raises:
            CacheUnavailable: the server refuses, or can't be reached.
        """
        with self._access():
            listing = self._folder.listing()
        for name, facts in sorted(listing.items()):
            parts, key = PurePosixPath(name).parts, PurePosixPath(name).stem
            if len(parts) == 3 and name == _name(parts[0], key):
                yield Entry(parts[0], key, self.path / name, facts.size, facts.modified)

    def read(self, stage: str, key: str) -> bytes | None:
        """The file of an entry; None if there is none, nothing where the server tells that it is damaged.

        Raises:
            CacheUnavailable: the server refuses, or can't be reached.
        """
        with self._access():
            try:
                return self._folder.read(_name(stage, key))
            except SourceChanged:
                return b""

    def size(self, stage: str, key: str) -> int:
        """Bytes of an entry; 0 if there is none."""
        with self._access():
            version = self._folder.version(_name(stage, key))
        return 0 if version is None else version.size

    def remove(self, stage: str, key: str) -> None:
        """Remove an entry."""
        with self._access():
            self._folder.remove(_name(stage, key))
        self._listed.get(stage, set()).discard(key)

    @contextmanager
    def _access(self) -> Iterator[None]:
        """Report errors as those of the cache.

        Raises:
            CacheUnavailable: the server refuses, or can't be reached.
        """
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise CacheUnavailable(
                f"the cache {self.url} can't be used ({reason}); "
                "finished work is kept in the local cache folder"
            ) from error


def _name(stage: str, key: str) -> str:
    return f"{stage}/{key[:2]}/{key}{_SUFFIX}"
