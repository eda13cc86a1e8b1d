"""Motion and frames of one file, for prediction: scanned once, read on two threads."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

import mv_tools
from mv_tools import MotionDecoder, NoMotionVectors, RgbDecoder

from ..appearance.frames import energy_of, file_energy, read_frames
from ..appearance.pooling import FrameFacts
from ..appearance.settings import AppearanceSettings
from ..motion.read import MotionClip, read_motion_clip
from ..motion.settings import MotionSpec

__all__ = ["Reading", "read_file"]

_TRANSCODED: Final = "the codec has no motion vectors: re-encoded to H.264 to measure them"


@dataclass(frozen=True)
class Reading:
    """Motion and frames read from one file.

    Attributes:
        motion: its motion, None if it was not requested.
        facts: where its frames stand, None if they were not requested.
        pictures: uint8 [frames, H, W, 3] for CLIP, None if they were not requested.
        notes: what is left out or damaged in the file, and how motion was read where it was not parsed.
    """

    motion: MotionClip | None
    pictures: npt.NDArray[np.uint8] | None
    notes: tuple[str, ...] = ()
    facts: FrameFacts | None = None


def read_file(
    path: Path,
    motion: MotionSpec | None,
    appearance: AppearanceSettings | None,
    spec: MotionSpec | None = None,
) -> Reading:
    """Read a file's sampled motion and the frames that CLIP sees.

    The packets are scanned once for both. Pictures are decoded on a second thread meanwhile; the
    result does not depend on that.

    Args:
        path: the file.
        motion: what to read of its motion, None for nothing.
        appearance: which frames to read, None for none.
        spec: how to read the motion that frames are chosen by where `motion` is None.

    Raises:
        FileNotFoundError: no such file.
        mv_tools.MotionError: it can't be read.
    """
    if appearance is not None and appearance.needs_motion:
        return _by_motion(path, motion, appearance, motion or spec or MotionSpec())
    if motion is None:
        if appearance is None:
            return Reading(None, None)
        frames = RgbDecoder(path)
        read = read_frames(frames, appearance)
        return Reading(None, read.pictures, tuple(frames.notes), read.facts)
    decoder = MotionDecoder(path, backend=motion.backend, on_damage="skip")
    with ThreadPoolExecutor(1) as pool:
        pictures = None if appearance is None else pool.submit(read_frames, decoder, appearance)
        clip, notes = _motion(decoder, path, motion)
        if pictures is None:
            return Reading(clip, None, notes)
        return Reading(clip, pictures.result().pictures, notes, pictures.result().facts)


def _by_motion(
    path: Path, motion: MotionSpec | None, appearance: AppearanceSettings, spec: MotionSpec
) -> Reading:
    """Motion first, then the frames that it chooses, as in extraction: none where the codec has no vectors."""
    decoder = MotionDecoder(path, backend=spec.backend, on_damage="skip")
    if motion is None:
        read = read_frames(decoder, appearance, energy=file_energy(decoder, spec))
        return Reading(None, read.pictures, (*decoder.notes, *read.notes), read.facts)
    clip, notes = _motion(decoder, path, motion)
    energy = energy_of(clip, motion) if _TRANSCODED not in notes else None
    read = read_frames(decoder, appearance, energy=energy)
    return Reading(clip, read.pictures, (*notes, *read.notes), read.facts)


def _motion(decoder: MotionDecoder, path: Path, spec: MotionSpec) -> tuple[MotionClip, tuple[str, ...]]:
    """The motion, with a note where it is not parsed."""
    try:
        clip = read_motion_clip(decoder, spec)
    except NoMotionVectors:
        with tempfile.TemporaryDirectory() as folder:
            h264 = mv_tools.transcode(path, Path(folder) / "clip.mp4")
            clip = read_motion_clip(h264, spec)
        return clip, (*decoder.notes, _TRANSCODED)
    if decoder.backend != "native":
        return clip, (*clip.notes, f"{clip.codec}: motion read by full decoding ({decoder.backend})")
    return clip, clip.notes
