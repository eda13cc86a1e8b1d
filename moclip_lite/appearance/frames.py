"""The frames of a clip that an appearance encoder sees: which they are, and reading them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

import mv_tools
from mv_tools import MotionDecoder, RgbDecoder

from ..sampling import frame_positions, reachable_positions
from .settings import AppearanceSettings

__all__ = ["read_clip_frames"]


def read_clip_frames(
    source: Path | MotionDecoder | RgbDecoder, settings: AppearanceSettings
) -> npt.NDArray[np.uint8]:
    """Read the frames of a clip, uint8 [frames, H, W, 3]; the last one repeats where there are fewer.

    Args:
        source: the file, or a decoder of it, whose scan of the packets is used.
        settings: number and positions of the frames.

    Raises:
        mv_tools.MotionError: the file can't be read, or is cut short.
    """
    decoder = source if isinstance(source, RgbDecoder) else RgbDecoder(source)
    if settings.positions == "keyframes":
        pictures = mv_tools.read_keyframes(decoder, max_frames=settings.frames).frames
        return pictures[np.minimum(np.arange(settings.frames), len(pictures) - 1)]
    decoder.require_whole()
    usable = np.nonzero(~decoder.pictures.corrupt)[0]
    if not len(usable):
        raise mv_tools.MalformedStream(f"{decoder.name}: all pictures are damaged")
    if settings.positions == "uniform":
        positions = frame_positions(len(usable), settings.frames)
    else:
        entry, before = decoder.preroll()
        positions = reachable_positions(entry[usable], before[usable], settings.frames)
    return decoder.get_frames_at(usable[positions].tolist()).frames
