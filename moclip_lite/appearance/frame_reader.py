"""Reading the frames of clips, at positions that their motion may decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mv_tools import RgbDecoder

from ..datasets import Clip
from ..datasets.segments import SharedDecoders
from ..errors import CheckpointError
from ..motion.extract import load_motion
from ..motion.read import MotionClip
from ..motion.settings import MotionSpec
from ..storage.cache import FeatureCache
from .frames import ClipFrames, energy_of, read_frames
from .motion_energy import MotionEnergy
from .settings import AppearanceSettings

__all__ = ["ClipMotion", "FrameReader"]


@dataclass(frozen=True)
class ClipMotion:
    """Motion of clips in the cache.

    Attributes:
        cache: holds it.
        keys: clip name -> key, for the clips that have motion vectors.
        spec: how it was read.
    """

    cache: FeatureCache
    keys: Mapping[str, str]
    spec: MotionSpec

    def of(self, clip: Clip) -> ClipMotion:
        """The motion of one clip."""
        return replace(self, keys={name: key for name, key in self.keys.items() if name == clip.name})

    def energy(self, clip: Clip) -> MotionEnergy | None:
        """Energy of a clip's motion; None where it has none."""
        key = self.keys.get(clip.name)
        if key is None:
            return None
        motion, empty = load_motion(clip.path, self.spec, self.cache, key, clip.segment)
        arrays = self.cache.get("motion", key)
        if arrays is None:
            raise CheckpointError(f"the motion of {clip.name} can't be kept in the cache")
        return energy_of(MotionClip(motion, arrays["indices"].astype(np.int64), empty, ""), self.spec)


class FrameReader:
    """Reads the frames of clips; each file is opened once for all of its segments.

    Args:
        settings: of the frames.
        motion: of the clips, where the settings need it.
    """

    def __init__(self, settings: AppearanceSettings, motion: ClipMotion | None) -> None:
        self._settings, self._motion = settings, motion
        self._decoders = SharedDecoders(RgbDecoder)

    def __call__(self, clip: Clip) -> ClipFrames:
        """Read the frames of a clip."""
        energy = None if self._motion is None else self._motion.energy(clip)
        source = clip.path if clip.segment is None else self._decoders.of(clip.path)
        return read_frames(source, self._settings, clip.segment, energy)
