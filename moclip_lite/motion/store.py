"""Motion tensors of clips, read from the cache and held in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from ..datasets import Clip
from ..storage.cache import FeatureCache
from .extract import load_motion
from .settings import MotionSpec

__all__ = ["MotionStore"]


_MAX_BYTES: Final = 2 << 30


class MotionStore:
    """Motion tensors by clip name.

    Args:
        cache: read on first use; a missing or damaged entry is computed again.
        keys: clip name -> key of its entry.
        spec: how the entries were read.
        max_bytes: tensors held in memory.
    """

    def __init__(
        self, cache: FeatureCache, keys: Mapping[str, str], spec: MotionSpec, max_bytes: int = _MAX_BYTES
    ) -> None:
        self._cache, self._keys, self._spec = cache, keys, spec
        self._free_bytes = max_bytes
        self._loaded: dict[str, tuple[npt.NDArray[np.float16], bool]] = {}

    @property
    def segments(self) -> int:
        """Windows per clip."""
        return self._spec.segments

    def divided(self, parts: int) -> MotionStore:
        """A store for one of `parts` processes, with its share of the memory."""
        return MotionStore(self._cache, self._keys, self._spec, self._free_bytes // parts)

    def __contains__(self, clip: Clip) -> bool:
        return clip.name in self._keys

    def motion(self, clip: Clip) -> npt.NDArray[np.float16]:
        """float16 [segments, frames, 2, rows, columns]."""
        return self._entry(clip)[0]

    def empty(self, clip: Clip) -> bool:
        """Whether the clip has no motion at all."""
        return self._entry(clip)[1]

    def _entry(self, clip: Clip) -> tuple[npt.NDArray[np.float16], bool]:
        if clip.name in self._loaded:
            return self._loaded[clip.name]
        entry = load_motion(clip.path, self._spec, self._cache, self._keys[clip.name], clip.segment)
        if entry[0].nbytes <= self._free_bytes:
            self._free_bytes -= entry[0].nbytes
            self._loaded[clip.name] = entry
        return entry
