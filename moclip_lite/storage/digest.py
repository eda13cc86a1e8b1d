"""Digests of contents."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

__all__ = ["digest_bytes", "digest_file"]

_CHUNK: Final = 1 << 20
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
