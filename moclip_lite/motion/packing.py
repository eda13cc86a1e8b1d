"""Motion tensors in few bytes: the cache's form of a clip.

Each picture is kept once, however many windows show it. Vectors are whole eighths of a pixel; what
is stored is the difference to the cell on the left (neighbours move alike), its sign folded into
the lowest bit, low and high bytes apart, deflated. Nothing is lost: reading rounds to eighths.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import CheckpointError
from .read import STEPS, MotionClip
from .settings import MotionSpec

__all__ = ["Arrays", "pack", "unpack"]

Arrays = dict[str, npt.NDArray[Any]]
_LEVEL: Final = 6


def pack(clip: MotionClip) -> Arrays:
    """The arrays of a cache entry: fields (uint8, a zlib stream), indices, empty."""
    _, first = np.unique(clip.indices, return_index=True)
    fields = clip.motion.reshape(-1, *clip.motion.shape[2:])[first]
    steps = np.round(fields.astype(np.float32) * STEPS).astype(np.int16)
    left = np.diff(steps, axis=-1, prepend=np.int16(0))  # wraps, and wraps back
    folded = ((left << 1) ^ (left >> 15)).view(np.uint16)
    halves = np.stack([folded & 0xFF, folded >> 8]).astype(np.uint8)
    return {
        "fields": np.frombuffer(zlib.compress(halves.tobytes(), _LEVEL), np.uint8),
        "indices": clip.indices.astype(np.int32),
        "empty": np.array([clip.empty], np.uint8),
    }


def unpack(arrays: Mapping[str, npt.NDArray[Any]], spec: MotionSpec) -> tuple[npt.NDArray[np.float16], bool]:
    """(motion float16 [segments, frames, 2, rows, columns], whether the clip is empty).

    Raises:
        CheckpointError: these are not a clip's arrays of this specification.
    """
    try:
        indices, stream, empty = arrays["indices"], arrays["fields"], bool(arrays["empty"][0])
    except (KeyError, IndexError) as error:
        raise CheckpointError("it lacks an array") from error
    if indices.shape != spec.shape[:2] or indices.dtype != np.int32 or stream.dtype != np.uint8:
        raise CheckpointError(f"its arrays don't fit windows of {spec.shape[:2]}")
    pictures, place = np.unique(indices, return_inverse=True)
    shape = (2, len(pictures), *spec.shape[2:])
    low, high = np.frombuffer(_inflate(stream.tobytes(), int(np.prod(shape))), np.uint8).reshape(shape)
    folded = low | high.astype(np.uint16) << np.uint16(8)
    left = (folded >> np.uint16(1)) ^ (-(folded & np.uint16(1)).astype(np.int16)).view(np.uint16)
    steps = np.cumsum(left, axis=-1, dtype=np.uint16).view(np.int16)
    fields = (steps.astype(np.float32) / STEPS).astype(np.float16)
    return fields[place.ravel()].reshape(spec.shape), empty


def _inflate(stream: bytes, size: int) -> bytes:
    """Exactly `size` bytes; a stream that would give more is refused before it is inflated."""
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(stream, size + 1)
    except zlib.error as error:
        raise CheckpointError(f"its vectors can't be inflated ({error})") from error
    if len(data) != size or not inflater.eof:
        raise CheckpointError(f"its vectors don't fill {size} bytes")
    return data
