"""Where a Matroska or WebM file ends by its own account (RFC 8794, EBML; RFC 9559, Matroska)."""

from __future__ import annotations

from typing import IO, Final

from ..source import Source

__all__ = ["declared_end"]

_EBML: Final = b"\x1a\x45\xdf\xa3"
_SEGMENT: Final = b"\x18\x53\x80\x67"
_LONGEST: Final = 8  # bytes of an element's size


def declared_end(source: Source) -> int | None:
    """The byte after the first Segment; None where it is not stated, as in a recording that goes on."""
    with source.open_raw() as file:
        if file.read(len(_EBML)) != _EBML:
            return None
        header = _size(file)
        if header is None:
            return None
        file.seek(header, 1)
        if file.read(len(_SEGMENT)) != _SEGMENT:
            return None
        size = _size(file)
        return None if size is None else file.tell() + size


def _size(file: IO[bytes]) -> int | None:
    """An element's size (RFC 8794, 6); None for the reserved value of an unknown size, or at the end."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = _LONGEST + 1 - first[0].bit_length()
    rest = file.read(length - 1)
    value = int.from_bytes(first + rest, "big") & ((1 << 7 * length) - 1)
    return None if len(rest) < length - 1 or value == (1 << 7 * length) - 1 else value
