"""Which re-encoded copies are those of the originals as they are now."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...storage.digest import digest_file
from ...storage.names import printable
from ...storage.stamps import FileStamp
from ..clip import Clip, shorten
from ..manifest import ManifestRow
from ..walk import find_videos

__all__ = ["Original", "original_of_copy", "strays", "strays_note", "written_stamp"]

_NAMED: Final = 2  # files that a sentence names


@dataclass(frozen=True)
class Original:
    """Content of an original, as a manifest holds it.

    Attributes:
        digest: BLAKE2b of the file, 32 hex digits.
        stamp: see :func:`written_stamp`.
    """

    digest: str
    stamp: str


def written_stamp(path: Path) -> str:
    """Size, modification time, change time and inode of a file.

    No program can set the change time back, so that a file with the same stamp has the same content.

    Raises:
        OSError: the file can't be found.
    """
    stamp = FileStamp.of(path)
    return f"{stamp.size} {stamp.modified} {stamp.changed} {stamp.inode}"


def original_of_copy(clip: Clip, copy: Path, row: ManifestRow | None) -> Original | None:
    """The original that a copy was made of; None if it is, or may be, another one now.

    The digest of the whole original decides, since nothing less tells two videos apart for sure. Reading
    thousands of them takes a minute or so; an original whose stamp is that of the row is not read, which
    leaves those that were replaced, moved or copied since.

    Copies whose original nobody wrote down are judged by time. A row of an earlier version counts if the
    original was modified before the copy. A copy without a row, which a killed preparation left, or one
    that left out an original that could not be read, counts only if the original was not replaced either:
    files that are moved or copied with their times keep the time of modification, not that of change.

    Args:
        clip: of the original.
        copy: the file that was made of it.
        row: of the copy in the folder's manifest, if there is one.

    Raises:
        OSError: a file can't be read.
    """
    stamp = written_stamp(clip.path)
    if row is not None and row.original_digest:
        if row.original_stamp == stamp:
            return Original(row.original_digest, stamp)
        digest = digest_file(clip.path)
        return Original(digest, stamp) if digest == row.original_digest else None
    if row is not None and row.name != clip.name:
        return None
    original = clip.path.stat()
    changed = original.st_mtime_ns if row is not None else max(original.st_mtime_ns, original.st_ctime_ns)
    return Original(digest_file(clip.path), stamp) if changed <= copy.stat().st_mtime_ns else None


def strays(folder: Path, copies: Iterable[Path]) -> list[str]:
    """Names of the videos in a prepared folder that are not among its copies, sorted."""
    known = {os.fspath(path) for path in copies}
    return [
        printable(path.relative_to(folder).as_posix())
        for path in find_videos(folder).videos
        if os.fspath(path) not in known
    ]


def strays_note(folder: Path, names: list[str]) -> str:
    """A sentence on the videos in a prepared folder that no original has; "" without any."""
    if not names:
        return ""
    return (
        f"{folder} holds {len(names)} video(s) that are no copies of originals as they are now: "
        f"{shorten(names, _NAMED)}; `moclip run` on this folder would use them, delete them"
    )
