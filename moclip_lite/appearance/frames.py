"""The frames of a clip that an appearance encoder sees: which they are, and reading them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

import mv_tools
from mv_tools import MotionDecoder, RgbDecoder

from ..datasets.segments import rgb_pictures
from ..motion.read import MotionClip, read_motion_clip
from ..motion.settings import MotionSpec
from ..sampling import Segment, frame_positions, reachable_positions
from .borders import crop_borders
from .motion_energy import MotionEnergy, motion_positions
from .pooling import FrameFacts
from .settings import AppearanceSettings

__all__ = ["ClipFrames", "energy_of", "file_energy", "read_clip_frames", "read_frames"]

_NO_MOTION: Final = "no motion to choose frames by: they are taken as with clip.positions=reachable"


@dataclass(frozen=True)
class ClipFrames:
    """Frames of a clip.

    Attributes:
        pictures: uint8 [frames, H, W, 3]; the last one repeats where there are fewer.
        facts: their times and shares of the motion energy.
        notes: what a reader should know.
    """

    pictures: npt.NDArray[np.uint8]
    facts: FrameFacts
    notes: tuple[str, ...] = ()


def read_clip_frames(
    source: Path | MotionDecoder | RgbDecoder, settings: AppearanceSettings, segment: Segment | None = None
) -> npt.NDArray[np.uint8]:
    """The pictures of :func:`read_frames`, without motion."""
    return read_frames(source, settings, segment).pictures


def read_frames(
    source: Path | MotionDecoder | RgbDecoder,
    settings: AppearanceSettings,
    segment: Segment | None = None,
    energy: MotionEnergy | None = None,
) -> ClipFrames:
    """Read the frames of a clip.

    Args:
        source: the file, or a decoder of it, whose scan of the packets is used.
        settings: number and positions of the frames, and whether borders are cut off.
        segment: the part of the file that they are from; None for all of it. One without keyframes gives its
            first frame where keyframes are asked for.
        energy: of the clip's motion, where the settings need it; None if there is none: frames are then
            chosen as by ``reachable``, weighted equally and not cropped.

    Raises:
        mv_tools.MotionError: the file can't be read, is cut short, or has no picture in the segment.
    """
    decoder = source if isinstance(source, RgbDecoder) else RgbDecoder(source)
    inside = range(len(decoder)) if segment is None else rgb_pictures(decoder, segment)
    if energy is not None and energy.pictures[-1] >= len(decoder):  # counted by fields
        energy = replace(energy, pictures=energy.pictures // 2)
    positions = _positions(decoder, settings, segment, inside, energy)
    pictures = decoder.get_frames_at(positions.tolist()).frames
    notes = (_NO_MOTION,) if settings.positions == "motion" and energy is None else ()
    if settings.crop_borders:
        pictures, _ = crop_borders(pictures, None if energy is None else energy.peak)
    return ClipFrames(pictures, _facts(positions, inside, energy), notes)


def _positions(
    decoder: RgbDecoder,
    settings: AppearanceSettings,
    segment: Segment | None,
    inside: range,
    energy: MotionEnergy | None,
) -> npt.NDArray[np.int64]:
    """Numbers of the frames, int64 [frames], ascending."""
    if settings.positions == "keyframes":
        keyframes = _keyframes(decoder, inside, settings.frames, whole=segment is None)
        return keyframes[np.minimum(np.arange(settings.frames), len(keyframes) - 1)]
    decoder.require_whole()
    usable = inside.start + np.nonzero(~decoder.pictures.corrupt[inside.start : inside.stop])[0]
    if not len(usable):
        raise mv_tools.MalformedStream(f"{decoder.name}: all pictures are damaged")
    if settings.positions == "motion" and energy is not None:
        return motion_positions(usable, energy, settings.frames)
    if settings.positions == "uniform":
        places = frame_positions(len(usable), settings.frames)
    else:
        entry, before = decoder.preroll()
        places = reachable_positions(entry[usable], before[usable], settings.frames)
    return np.asarray(usable[places], np.int64)


def _keyframes(decoder: RgbDecoder, inside: range, count: int, whole: bool) -> npt.NDArray[np.int64]:
    """At most `count` keyframes of a clip, evenly spaced; the first frame of a segment without any."""
    keyframes = [i for i in decoder.keyframe_indices() if whole or i in inside] or [inside.start]
    return np.array(
        [keyframes[i] for i in frame_positions(len(keyframes), min(count, len(keyframes)))], np.int64
    )


def _facts(positions: npt.NDArray[np.int64], inside: range, energy: MotionEnergy | None) -> FrameFacts:
    times = (positions - inside.start + 0.5) / len(inside)
    weights = np.ones(len(positions)) if energy is None else energy.at(positions).astype(np.float64)
    if not weights.sum() > 0:
        weights = np.ones(len(positions))
    return FrameFacts(times.astype(np.float32), (weights / weights.sum()).astype(np.float32))


def file_energy(decoder: MotionDecoder, spec: MotionSpec) -> MotionEnergy | None:
    """Energy of a file's motion; None where it has none, or its codec no vectors."""
    try:
        return energy_of(read_motion_clip(decoder, spec), spec)
    except mv_tools.NoMotionVectors:
        return None


def energy_of(clip: MotionClip, spec: MotionSpec) -> MotionEnergy | None:
    """Energy of motion that was read with a specification; None where the clip has none."""
    return None if clip.empty else MotionEnergy.of(clip.motion, clip.indices, whole=spec.crop == "none")
