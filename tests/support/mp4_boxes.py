"""MP4 files taken apart into boxes, changed and put together again."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from itertools import count

import numpy as np

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


def changed(
    data: bytes,
    kind: str,
    change: Callable[[bytes], bytes],
    rename: str | None = None,
    *,
    place: int | None = None,
) -> bytes:
    """A file whose movie box is the last one, with the bodies of all leaf boxes of one kind changed, or only that of
    the `place`-th of them, from 0."""
    seen = count()

    def wanted(name: str) -> bool:
        return name == kind and (place is None or next(seen) == place)

    def walk(boxes: list[Box]) -> list[Box]:
        result: list[Box] = []
        for name, content in boxes:
            if isinstance(content, list):
                result.append((name, walk(content)))
            else:
                result.append((rename or kind, change(content)) if wanted(name) else (name, content))
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


def leaves(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[str, int, int]]:
    """Kind, start and end of the leaf boxes of a file, those of media data left out."""
    end = len(data) if end is None else end
    while start < end:
        size, kind = struct.unpack_from(">I4s", data, start)
        name = kind.decode("latin-1")
        if name in CONTAINERS:
            yield from leaves(data, start + 8, start + size)
        elif name != "mdat":
            yield name, start, start + size
        start += size


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three bits or numbers of the boxes replaced."""
    boxes, result = [box for box in leaves(data) if box[2] - box[1] >= 12], bytearray(data)
    for _ in range(rng.integers(1, 4)):
        _, start, end = boxes[rng.integers(len(boxes))]
        place = int(rng.integers(start + 8, end - 3))
        if rng.random() < 0.3:
            result[place] ^= 1 << int(rng.integers(8))
            continue
        place = start + (place - start) // 4 * 4
        number = int.from_bytes(result[place : place + 4], "big")
        near = [number + step for step in (-512, -1, 1, 2, 512)]
        unusual = [0, 1, 2, 3, 13, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
        value = int(rng.choice(near if rng.random() < 0.5 else unusual))
        result[place : place + 4] = words(value)
    return bytes(result)


def words(*values: int) -> bytes:
    """Big-endian 32-bit integers, negative ones in two's complement."""
    return b"".join(struct.pack(">I", value & 0xFFFFFFFF) for value in values)


def edit_list(*edits: tuple[int, int]) -> bytes:
    """The body of an edit list of (duration in ticks of the movie, start in ticks of the track)."""
    return words(0, len(edits)) + b"".join(words(duration, start, 1 << 16) for duration, start in edits)
