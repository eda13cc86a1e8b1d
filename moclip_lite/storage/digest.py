"""Digests of contents."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from mv_tools.remote import RemoteFile

__all__ = ["digest_bytes", "digest_file", "digest_remote"]

_CHUNK: Final = 1 << 20
_REMOTE_CHUNK: Final = 4 << 20
_SIZE: Final = 16


def digest_bytes(parts: Iterable[bytes]) -> str:
    """BLAKE2b of the concatenated parts: 32 hex digits."""
    state = hashlib.blake2b(digest_size=_SIZE)
    for part in parts:
        state.update(part)
    return state.hexdigest()


def digest_file(path: Path) -> str:
    """BLAKE2b of the content of a file of this machine: 32 hex digits."""

    def chunks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    return digest_bytes(chunks())


def digest_remote(file: RemoteFile) -> str:
    """As :func:`digest_file`, of a file at a URL, which is read whole.

    Raises:
        OSError: it can't be read.
        SourceChanged: it was changed while it was read.
    """
    starts = range(0, file.size, _REMOTE_CHUNK)
    return digest_bytes(file.read_range(start, min(start + _REMOTE_CHUNK, file.size)) for start in starts)
