"""Motion and frames of one file, for prediction: scanned once, read on two threads."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import mv_tools
from mv_tools import MotionDecoder, NoMotionVectors, Recipe, RgbDecoder

from ..appearance.frames import read_clip_frames
from ..appearance.settings import AppearanceSettings
from ..motion.read import MotionClip, read_motion_clip
from ..motion.settings import MotionSpec
from .encoder_note import encoder_note

__all__ = ["Reading", "read_file"]


@dataclass(frozen=True)
class Reading:
    """Motion and frames read from one file.

    Attributes:
        motion: its motion, None if it was not requested.
        pictures: uint8 [frames, H, W, 3] for CLIP, None if they were not requested.
        notes: what is left out or damaged in the file, and how motion was read where it was not parsed.
    """

    motion: MotionClip | None
    pictures: npt.NDArray[np.uint8] | None
    notes: tuple[str, ...] = ()


def read_file(
    path: Path,
    motion: MotionSpec | None,
    appearance: AppearanceSettings | None,
    recipes: Sequence[Recipe] = (),
) -> Reading:
    """Read a file's sampled motion and the frames that CLIP sees.

    The packets are scanned once for both. Pictures are decoded on a second thread meanwhile; the
    result does not depend on that.

    Args:
        path: the file.
        motion: what to read of its motion, None for nothing.
        appearance: which frames to read, None for none.
        recipes: of the training clips; a file that is encoded differently is noted.

    Raises:
        FileNotFoundError: no such file.
        mv_tools.MotionError: it can't be read.
    """
    if motion is None:
        if appearance is None:
            return Reading(None, None)
        frames = RgbDecoder(path)
        return Reading(None, read_clip_frames(frames, appearance), tuple(frames.notes))
    decoder = MotionDecoder(path, backend=motion.backend, on_damage="skip")
    with ThreadPoolExecutor(1) as pool:
        pictures = None if appearance is None else pool.submit(read_clip_frames, decoder, appearance)
        clip, notes = _motion(decoder, path, motion)
        if note := encoder_note(decoder, list(recipes)):
            notes = (*notes, note)
        return Reading(clip, None if pictures is None else pictures.result(), notes)


def _motion(decoder: MotionDecoder, path: Path, spec: MotionSpec) -> tuple[MotionClip, tuple[str, ...]]:
    """The motion, with a note where it is not parsed."""
    try:
        clip = read_motion_clip(decoder, spec)
    except NoMotionVectors:
        with tempfile.TemporaryDirectory() as folder:
            h264 = mv_tools.transcode(path, Path(folder) / "clip.mp4")
            clip = read_motion_clip(h264, spec)
        return clip, (*decoder.notes, "the codec has no motion vectors: re-encoded to H.264 to measure them")
    if decoder.backend != "native":
        return clip, (*clip.notes, f"{clip.codec}: motion read by full decoding ({decoder.backend})")
    return clip, clip.notes
