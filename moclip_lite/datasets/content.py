"""What a clip shows, whatever its file is called: the digest of the file, and of a segment also its times."""

from __future__ import annotations

from ..sampling import WHOLE, Segment
from ..storage.digest import digest_bytes

__all__ = ["content_of", "extent_of", "file_of", "older_form"]


def content_of(digest: str, segment: Segment | None) -> str:
    """The content of a clip: its file's digest, followed by the start and end of a segment."""
    return digest if segment is None else f"{digest} {segment.start!r} {segment.end!r}"


def file_of(content: str) -> str:
    """The digest of the file of :func:`content_of`'s clip."""
    return content.partition(" ")[0]


def older_form(content: str) -> str:
    """The content of a segment as earlier versions wrote it, of which no file can be told."""
    return digest_bytes([content.encode()]) if " " in content else content


def extent_of(content: str) -> Segment:
    """The part of its file that :func:`content_of`'s clip is."""
    _, *times = content.split(" ")
    return Segment(*map(float, times)) if times else WHOLE
