"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_write"]


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """A hidden sibling that takes the target's name when the block ends without error.

    It is empty at first, ends like the target, and may be read by whom the user's umask says (a file
    of tempfile.mkstemp would be private for good).

    Raises:
        OSError: the folder can't be made or written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    stem = os.fsencode(target.stem)[:100].decode("utf-8", "ignore")  # a name may have 255 bytes
    draft = target.parent / f".{stem}-{secrets.token_hex(6)}{target.suffix}"
    draft.touch(exist_ok=False)
    try:
        yield draft
        # No fsync: it costs more than reading a clip. What a power cut damages is found by its digest.
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)
