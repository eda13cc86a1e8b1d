"""Motion tensors of clips, read from the cache and held in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from ..datasets import Clip
from ..storage.cache import FeatureCache
from .extract import load_motion
from .read import motion_energy
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
        encodings: clip name -> encodings of the clip to read in its place, and the keys of their entries.
    """

    def __init__(
        self,
        cache: FeatureCache,
        keys: Mapping[str, str],
        spec: MotionSpec,
        max_bytes: int = _MAX_BYTES,
        encodings: Mapping[str, Sequence[tuple[Clip, str]]] | None = None,
    ) -> None:
        self._cache, self._keys, self._spec = cache, keys, spec
        self._free_bytes, self._encodings = max_bytes, encodings or {}
        self._loaded: dict[tuple[str, int], tuple[npt.NDArray[np.float16], bool]] = {}

    @property
    def segments(self) -> int:
        """Windows per clip."""
        return self._spec.segments

    def divided(self, parts: int) -> MotionStore:
        """A store for one of `parts` processes, with its share of the memory."""
        return MotionStore(self._cache, self._keys, self._spec, self._free_bytes // parts, self._encodings)

    def encodings(self, clip: Clip) -> int:
        """Number of encodings of a clip: those to read in its place, or 1."""
        return len(self._encodings.get(clip.name, ())) or 1

    def __contains__(self, clip: Clip) -> bool:
        return clip.name in self._keys

    def motion(self, clip: Clip, encoding: int = 0) -> npt.NDArray[np.float16]:
        """float16 [segments, frames, 2, rows, columns] of one of the encodings."""
        return self._entry(clip, encoding)[0]

    def empty(self, clip: Clip) -> bool:
        """Whether the clip has no motion at all."""
        return self._entry(clip)[1]

    def moving(self, clips: Iterable[Clip]) -> list[Clip]:
        """Those of the clips that could be read and hold motion."""
        return [clip for clip in clips if clip in self and not self.empty(clip)]

    def energy(self, clip: Clip) -> float:
        """Mean length of a clip's motion vectors, see :func:`moclip_lite.motion.read.motion_energy`."""
        return motion_energy(self.motion(clip))

    def _entry(self, clip: Clip, encoding: int = 0) -> tuple[npt.NDArray[np.float16], bool]:
        place = clip.name, encoding
        if place in self._loaded:
            return self._loaded[place]
        source, key = (self._encodings.get(clip.name) or [(clip, self._keys[clip.name])])[encoding]
        entry = load_motion(source.path, self._spec, self._cache, key, source.segment)
        if entry[0].nbytes <= self._free_bytes:
            self._free_bytes -= entry[0].nbytes
            self._loaded[place] = entry
        return entry
