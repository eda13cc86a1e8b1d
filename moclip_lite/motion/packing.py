"""Lossless compression of motion tensors for the cache.

Each picture is stored once, however many windows contain it. Vectors are whole eighths of a pixel (reading
rounds them). Each is replaced by its difference from the cell on the left, with the sign folded into the
lowest bit; low and high bytes are stored apart and deflated.
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
    """Compress a clip to the arrays of a cache entry: fields (uint8, a zlib stream), indices, empty."""
    _, first = np.unique(clip.indices, return_index=True)
    fields = clip.motion.reshape(-1, *clip.motion.shape[2:])[first]
    steps = np.round(fields.astype(np.float32) * STEPS).astype(np.int16)
    left = np.diff(steps, axis=-1, prepend=np.int16(0))  # wraps around, as does its inverse
    folded = ((left << 1) ^ (left >> 15)).view(np.uint16)
    halves = np.stack([folded & 0xFF, folded >> 8]).astype(np.uint8)
    return {
        "fields": np.frombuffer(zlib.compress(halves.tobytes(), _LEVEL), np.uint8),
        "indices": clip.indices.astype(np.int32),
        "empty": np.array([clip.empty], np.uint8),
    }


def unpack(arrays: Mapping[str, npt.NDArray[Any]], spec: MotionSpec) -> tuple[npt.NDArray[np.float16], bool]:
    """Restore (motion float16 [segments, frames, 2, rows, columns], whether the clip is empty).

    Raises:
        CheckpointError: not the arrays of a clip of this specification.
    """
    try:
        indices, stream, empty = arrays["indices"], arrays["fields"], bool(arrays["empty"][0])
    except (KeyError, IndexError) as error:
        raise CheckpointError("an array is missing") from error
    if indices.shape != spec.shape[:2] or indices.dtype != np.int32 or stream.dtype != np.uint8:
        raise CheckpointError(f"its arrays don't fit windows of {spec.shape[:2]}")
    pictures, position = np.unique(indices, return_inverse=True)
    shape = (2, len(pictures), *spec.shape[2:])
    low, high = np.frombuffer(_inflate(stream.tobytes(), int(np.prod(shape))), np.uint8).reshape(shape)
    folded = low | high.astype(np.uint16) << np.uint16(8)
    left = (folded >> np.uint16(1)) ^ (-(folded & np.uint16(1)).astype(np.int16)).view(np.uint16)
    steps = np.cumsum(left, axis=-1, dtype=np.uint16).view(np.int16)
    fields = (steps.astype(np.float32) / STEPS).astype(np.float16)
    return fields[position.ravel()].reshape(spec.shape), empty


def _inflate(stream: bytes, size: int) -> bytes:
    """Inflate exactly `size` bytes; a longer stream is refused before it is inflated."""
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(stream, size + 1)
    except zlib.error as error:
        raise CheckpointError(f"its vectors can't be inflated ({error})") from error
    if len(data) != size or not inflater.eof:
        raise CheckpointError(f"its vectors don't fill {size} bytes")
    return data
