"""Whether a file is still the one whose digest was taken.

What is kept under a digest must have been read from the content with that digest, and digests are taken long
before the files are read. A file at a URL has no stamp: its reader notices a change.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import NamedTuple

from mv_tools import SourceChanged
from mv_tools.urls import is_url

__all__ = ["Stamp", "check_unchanged", "stamp_of"]


class Stamp(NamedTuple):
    """What the system says of a file, and on which machine.

    Attributes:
        size: in bytes.
        modified, changed: times in nanoseconds; no program can set the second one back.
        inode: number of the file.
        machine: its name; on another one, time of change and inode of the same file may differ.
    """

    size: int
    modified: int
    changed: int
    inode: int
    machine: str

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """The stamp of a file of this machine.

        Raises:
            OSError, ValueError: it is absent, or has an impossible name.
        """
        stat = path.stat()
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, socket.gethostname())

    def equals(self, other: Stamp) -> bool:
        """Whether both are of the same content, as far as the machines that asked can tell."""
        if self.machine != other.machine:
            return self[:2] == other[:2]
        return self == other


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of a file; None for one at a URL.

    Raises:
        OSError, ValueError: it is absent, or has an impossible name.
    """
    return None if is_url(path) else Stamp.of(path)


def check_unchanged(path: Path, stamp: Stamp | None) -> None:
    """Call it between reading a file and keeping the result under the digest of its content.

    Args:
        path: the file.
        stamp: taken before the digest.

    Raises:
        SourceChanged: the file is another one than then.
        OSError: it is gone.
    """
    if stamp is None:
        return
    now = stamp_of(path)
    if now is None or not stamp.equals(now):
        raise SourceChanged(f"{path} was changed while it was read; run the command again")
