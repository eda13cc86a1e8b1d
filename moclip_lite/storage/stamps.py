"""Whether a file is still the one whose digest was taken.

What is kept under a digest must have been read from the content with that digest, and digests are taken long
before the files are read.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import NamedTuple, TypeAlias

from mv_tools import SourceChanged
from mv_tools.remote import RemoteFile
from mv_tools.source import file_stamp
from mv_tools.urls import is_url, spelled

from .digest import digest_remote

__all__ = ["FileStamp", "Stamp", "UrlStamp", "check_unchanged", "stamp_of"]


class FileStamp(NamedTuple):
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
    def of(cls, path: Path) -> FileStamp:
        """The stamp of a file of this machine.

        Raises:
            OSError, ValueError: it is absent, or has an impossible name.
        """
        return cls(*file_stamp(path), socket.gethostname())

    def equals(self, other: Stamp) -> bool:
        """Whether both are of the same content, as far as the machines that asked can tell."""
        if isinstance(other, FileStamp) and self.machine != other.machine:
            return self[:2] == other[:2]
        return self == other


class UrlStamp(NamedTuple):
    """What a server says of a file.

    Attributes:
        size: in bytes.
        version: see :class:`mv_tools.remote.RemoteFile`.
        content: digest of the content where the server sends no strong ETag, else "".
    """

    size: int
    version: str
    content: str = ""

    @classmethod
    def of(cls, file: RemoteFile) -> UrlStamp:
        """The stamp of a file, which is read where the server tells too little of it.

        Raises:
            OSError, SourceChanged: it can't be read.
        """
        told = file.identity or file.keeps_versions_apart
        return cls(file.size, file.version, "" if told else digest_remote(file))

    def equals(self, other: Stamp) -> bool:
        """Whether both are of the same content, as far as the server tells."""
        return self == other


Stamp: TypeAlias = FileStamp | UrlStamp


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file, here or at a URL.

    Raises:
        OSError, ValueError: it is absent, or has an impossible name.
        SourceChanged: one at a URL was changed while it was read.
    """
    if is_url(path):
        return UrlStamp.of(RemoteFile(spelled(path)))
    return FileStamp.of(path)


def check_unchanged(path: Path, stamp: Stamp) -> None:
    """Call it between reading a file and keeping the result under the digest of its content.

    Args:
        path: the file.
        stamp: taken before the digest.

    Raises:
        SourceChanged: the file is another one than then.
        OSError: it is gone.
    """
    if not stamp.equals(stamp_of(path)):
        raise SourceChanged(f"{spelled(path)} was changed while it was read; run the command again")
