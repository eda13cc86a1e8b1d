"""Files that are written completely or not at all, and what killed processes left of them."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

__all__ = ["atomic_write", "remove_drafts"]

_DRAFT: Final = re.compile(r"\..*-[0-9a-f]{12}(\.[^.]*)?", re.DOTALL)


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Write a hidden sibling file that replaces the target when the block ends without error.

    The sibling is empty at first and has the target's suffix. Its permissions follow the user's umask (a
    file of tempfile.mkstemp would stay private).

    Raises:
        OSError: the folder can't be made or written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    stem = os.fsencode(target.stem)[:100].decode("utf-8", "ignore")  # a name may have 255 bytes
    draft = target.parent / f".{stem}-{secrets.token_hex(6)}{target.suffix}"
    try:
        draft.touch(exist_ok=False)
        yield draft
        # No fsync: it costs more than reading a clip. Digests reveal what a power cut damages.
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(folder: Path) -> None:
    """Remove the drafts that killed processes left in a folder, for a caller that alone writes there.

    Folders below it are not searched. A draft that can't be removed stays.
    """
    for path in list(folder.iterdir()):
        if _DRAFT.fullmatch(path.name) and path.is_file():
            with suppress(OSError):
                path.unlink()
