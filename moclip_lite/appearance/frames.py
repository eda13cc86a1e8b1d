"""The frames of a clip that an appearance encoder sees: which they are, and reading them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

import mv_tools
from mv_tools import MotionDecoder, RgbDecoder

from ..datasets.segments import rgb_pictures
from ..sampling import Segment, frame_positions, reachable_positions
from .settings import AppearanceSettings

__all__ = ["read_clip_frames"]


def read_clip_frames(
    source: Path | MotionDecoder | RgbDecoder, settings: AppearanceSettings, segment: Segment | None = None
) -> npt.NDArray[np.uint8]:
    """Read the frames of a clip, uint8 [frames, H, W, 3]; the last one repeats where there are fewer.

    Args:
        source: the file, or a decoder of it, whose scan of the packets is used.
        settings: number and positions of the frames.
        segment: the part of the file that they are from; None for all of it. One without keyframes gives its
            first frame where keyframes are asked for.

    Raises:
        mv_tools.MotionError: the file can't be read, is cut short, or has no picture in the segment.
    """
    decoder = source if isinstance(source, RgbDecoder) else RgbDecoder(source)
    inside = range(len(decoder)) if segment is None else rgb_pictures(decoder, segment)
    if settings.positions == "keyframes":
        if segment is None:
            pictures = mv_tools.read_keyframes(decoder, max_frames=settings.frames).frames
        else:
            pictures = decoder.get_frames_at(_keyframes(decoder, inside, settings.frames)).frames
        return pictures[np.minimum(np.arange(settings.frames), len(pictures) - 1)]
    decoder.require_whole()
    usable = inside.start + np.nonzero(~decoder.pictures.corrupt[inside.start : inside.stop])[0]
    if not len(usable):
        raise mv_tools.MalformedStream(f"{decoder.name}: all pictures are damaged")
    if settings.positions == "uniform":
        positions = frame_positions(len(usable), settings.frames)
    else:
        entry, before = decoder.preroll()
        positions = reachable_positions(entry[usable], before[usable], settings.frames)
    return decoder.get_frames_at(usable[positions].tolist()).frames


def _keyframes(decoder: RgbDecoder, inside: range, count: int) -> list[int]:
    """At most `count` keyframes of a segment, evenly spaced; its first frame if it has none."""
    keyframes = [i for i in decoder.keyframe_indices() if i in inside] or [inside.start]
    return [keyframes[i] for i in frame_positions(len(keyframes), min(count, len(keyframes)))]
