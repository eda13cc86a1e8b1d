"""Motion and frames of one file, for prediction: scanned once, read on two threads."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

import mv_tools
from mv_tools import MotionDecoder, NoMotionVectors, Recipe, RgbDecoder

from ..appearance.frames import ClipFrames, energy_of, file_energy, read_frames
from ..appearance.pooling import FrameFacts
from ..appearance.settings import AppearanceSettings
from ..motion.read import MotionClip, read_motion_clip
from ..motion.settings import MotionSpec
from .encoder_note import encoder_note

__all__ = ["FileReader", "Reading"]

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


class FileReader:
    """Motion and frames of one file, each read when asked for; the packets are scanned once for both.

    Args:
        path: the file.
        motion: what to read of its motion, None for nothing.
        appearance: which frames to read, None for none.
        recipes: of the training clips; a file that is encoded differently is noted.
        spec: how to read the motion that frames are chosen by where `motion` is None.

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
        spec: MotionSpec | None = None,
    ) -> None:
        self.path, self._spec, self._appearance = path, motion, appearance
        self._recipes = list(recipes)
        self._by_motion = appearance is not None and appearance.needs_motion
        self._frame_spec = motion or spec or MotionSpec()
        self._decoder: MotionDecoder | RgbDecoder | None = None
        if motion is not None or self._by_motion:
            self._decoder = MotionDecoder(path, backend=self._frame_spec.backend, on_damage="skip")
        elif appearance is not None:
            self._decoder = RgbDecoder(path)
        elif not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such file")

    @cached_property
    def _clip(self) -> tuple[MotionClip, tuple[str, ...]]:
        """The motion that was requested, with notes on the file."""
        assert isinstance(self._decoder, MotionDecoder)
        assert self._spec is not None
        clip, notes = _motion(self._decoder, self.path, self._spec)
        note = encoder_note(self._decoder, self._recipes)
        return clip, (*notes, note) if note else notes

    def motion(self) -> Reading:
        """The motion alone, with notes on the file."""
        if self._spec is not None:
            clip, notes = self._clip
            return Reading(clip, None, notes)
        return Reading(None, None, () if self._decoder is None else tuple(self._decoder.notes))

    def frames(self) -> ClipFrames | None:
        """The frames; None if they were not requested.

        Where motion chooses them it is read first; as in extraction there is none
        if the codec has no vectors.
        """
        if self._appearance is None or self._decoder is None:
            return None
        energy = None
        if self._by_motion and isinstance(self._decoder, MotionDecoder):
            if self._spec is None:
                energy = file_energy(self._decoder, self._frame_spec)
            elif _TRANSCODED not in self._clip[1]:
                energy = energy_of(self._clip[0], self._spec)
        return read_frames(self._decoder, self._appearance, energy=energy)

    def both(self) -> Reading:
        """Motion and frames, on two threads if they can be; the result does not depend on that."""
        if self._spec is None or self._appearance is None or self._by_motion:
            return _joined(self.motion(), self.frames())
        with ThreadPoolExecutor(1) as pool:
            pending = pool.submit(self.frames)
            return _joined(self.motion(), pending.result())


def _joined(motion: Reading, frames: ClipFrames | None) -> Reading:
    if frames is None:
        return motion
    notes = (*motion.notes, *frames.notes)
    return replace(motion, pictures=frames.pictures, facts=frames.facts, notes=notes)


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
