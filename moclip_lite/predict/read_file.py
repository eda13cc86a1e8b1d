"""Motion and frames of one file, for prediction: scanned once, read on two threads."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
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

__all__ = ["FileReader", "Reading", "read_file"]


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


class FileReader:
    """Motion and frames of one file, each read when asked for; the packets are scanned once for both.

    Args:
        path: the file.
        motion: what to read of its motion, None for nothing.
        appearance: which frames to read, None for none.
        recipes: of the training clips; a file that is encoded differently is noted.

    Raises:
        FileNotFoundError: no such file.
        mv_tools.MotionError: it can't be read.
    """

    def __init__(
        self,
        path: Path,
        motion: MotionSpec | None,
        appearance: AppearanceSettings | None,
        recipes: Sequence[Recipe] = (),
    ) -> None:
        self._path, self._spec, self._appearance, self._recipes = path, motion, appearance, recipes
        self._decoder: MotionDecoder | RgbDecoder | None = None
        if motion is not None:
            self._decoder = MotionDecoder(path, backend=motion.backend, on_damage="skip")
        elif appearance is not None:
            self._decoder = RgbDecoder(path)

    def motion(self) -> Reading:
        """The motion alone, with notes on the file."""
        if isinstance(self._decoder, MotionDecoder) and self._spec is not None:
            clip, notes = _motion(self._decoder, self._path, self._spec)
            if note := encoder_note(self._decoder, self._recipes):
                notes = (*notes, note)
            return Reading(clip, None, notes)
        return Reading(None, None, () if self._decoder is None else tuple(self._decoder.notes))

    def pictures(self) -> npt.NDArray[np.uint8] | None:
        """The frames, uint8 [frames, H, W, 3]; None if they were not requested."""
        if self._appearance is None or self._decoder is None:
            return None
        return read_clip_frames(self._decoder, self._appearance)

    def both(self) -> Reading:
        """Motion and frames, on two threads; the result does not depend on that."""
        if self._spec is None or self._appearance is None:
            pictures = self.pictures()
            return replace(self.motion(), pictures=pictures)
        with ThreadPoolExecutor(1) as pool:
            pending = pool.submit(self.pictures)
            return replace(self.motion(), pictures=pending.result())


def read_file(path: Path, motion: MotionSpec | None, appearance: AppearanceSettings | None) -> Reading:
    """Read a file's sampled motion and the frames that CLIP sees: see :class:`FileReader`.

    Raises:
        FileNotFoundError: no such file.
        mv_tools.MotionError: it can't be read.
    """
    return FileReader(path, motion, appearance).both()


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
