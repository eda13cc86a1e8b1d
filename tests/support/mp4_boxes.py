"""MP4 files taken apart into boxes, changed and put together again."""

from __future__ import annotations

import struct
from collections.abc import Callable

CONTAINERS = ("moov", "trak", "mdia", "minf", "stbl", "edts", "mvex", "moof", "traf", "dinf")

Box = tuple[str, "bytes | list[Box]"]


def split(data: bytes) -> list[Box]:
    """The boxes that fill `data`, those of `CONTAINERS` taken apart too."""
    boxes: list[Box] = []
    position = 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        name, body = kind.decode("latin-1"), data[position + 8 : position + size]
        boxes.append((name, split(body) if name in CONTAINERS else body))
        position += size
    return boxes


def join(boxes: list[Box]) -> bytes:
    """The bytes of boxes."""
    parts = []
    for kind, content in boxes:
        body = join(content) if isinstance(content, list) else content
        parts.append(struct.pack(">I4s", len(body) + 8, kind.encode("latin-1")) + body)
    return b"".join(parts)


def changed(data: bytes, kind: str, change: Callable[[bytes], bytes], rename: str | None = None) -> bytes:
    """A file whose movie box is the last one, with the bodies of all leaf boxes of one kind changed."""

    def walk(boxes: list[Box]) -> list[Box]:
        result: list[Box] = []
        for name, content in boxes:
            if isinstance(content, list):
                result.append((name, walk(content)))
            else:
                result.append((rename or kind, change(content)) if name == kind else (name, content))
        return result

    return join(walk(split(data)))


def without(data: bytes, kind: str) -> bytes:
    """A file whose movie box is the last one, without the boxes of one kind."""

    def walk(boxes: list[Box]) -> list[Box]:
        return [
            (name, walk(content) if isinstance(content, list) else content)
            for name, content in boxes
            if name != kind
        ]

    return join(walk(split(data)))


def words(*values: int) -> bytes:
    """Big-endian 32-bit integers, negative ones in two's complement."""
    return b"".join(struct.pack(">I", value & 0xFFFFFFFF) for value in values)


def edit_list(*edits: tuple[int, int]) -> bytes:
    """The body of an edit list of (duration in ticks of the movie, start in ticks of the track)."""
    return words(0, len(edits)) + b"".join(words(duration, start, 1 << 16) for duration, start in edits)
