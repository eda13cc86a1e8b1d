"""A video file whose windows are scored: its motion, its pictures, and what is left out of them."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

import mv_tools
from mv_tools import MalformedStream, MotionDecoder, MotionFrame, NoMotionVectors, RgbDecoder

from ..datasets.segments import player_origin
from .model import WindowModel
from .plan import FilePictures
from .window import Window

__all__ = ["OpenFile", "Picture"]

_MAX_DAMAGED_PICTURES: Final = 50  # places where decoding is taken up again

Picture = npt.NDArray[np.uint8]


@dataclass
class OpenFile:
    """A file whose packets were scanned.

    Attributes:
        motion: its motion, or that of an H.264 copy; None if the model does not look at motion.
        frames: its pictures.
        pictures: what windows choose among.
        origin: when the first picture is shown, on the player's clock.
        remark: on how motion is read; empty if it is parsed.
    """

    motion: MotionDecoder | None
    frames: RgbDecoder
    pictures: FilePictures
    origin: float
    remark: str = ""
    lost_pictures: int = 0

    @classmethod
    def open(cls, model: WindowModel, path: Path, opened: ExitStack) -> OpenFile:
        """Scan a file; without motion vectors it is re-encoded into a folder that lasts as `opened` does."""
        motion, remark = None, ""
        if model.motion is None:
            frames = RgbDecoder(path)
        else:
            spec = model.experiment.motion
            original = motion = MotionDecoder(path, backend=spec.backend, on_damage="skip")
            _ = motion.packets  # scans the file, so that no picture is read by a number of its tables alone
            if not _has_vectors(motion):
                folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
                copy = mv_tools.transcode(path, folder / "clip.mp4")
                motion = MotionDecoder(copy, backend=spec.backend, on_damage="skip")
                remark = "the codec has no motion vectors: re-encoded to H.264 to measure them"
            elif motion.backend != "native":
                remark = f"{motion.metadata.codec}: motion read by full decoding ({motion.backend})"
            frames = RgbDecoder(original)
        frames.require_whole()
        pictures = FilePictures.of(frames, motion, shown=bool(model.heads))
        return cls(motion, frames, pictures, player_origin(frames), remark)

    def notes(self) -> list[str]:
        """Remarks on the file for the user."""
        notes = list((self.motion or self.frames).notes)
        if self.motion is not None and self.motion.damaged:
            damaged = self.motion.damaged
            notes.append(f"{len(damaged)} pictures' motion is damaged ({damaged[0].message}) and left out")
        if self.lost_pictures:
            notes.append(f"{self.lost_pictures} of the decoded pictures are damaged and left out")
        return notes + ([self.remark] if self.remark else [])

    def read_motion(self, windows: Sequence[Window], every: bool) -> Iterator[MotionFrame]:
        """Motion of the pictures that windows take, or of every picture, in order."""
        if self.motion is None:
            return
        if every:
            yield from self.motion
            return
        sampled = [window.motion.ravel() for window in windows if window.motion is not None]
        if sampled:
            yield from self.motion.iter_frames_at(np.unique(np.concatenate(sampled)).tolist())

    def read_pictures(self, windows: Sequence[Window]) -> Iterator[tuple[int, Picture]]:
        """The pictures that windows take, in order; damaged ones are left out and counted."""
        waiting = deque(sorted({number for window in windows for number in window.pictures}))
        while waiting and self.lost_pictures <= _MAX_DAMAGED_PICTURES:
            try:
                for number, picture in self.frames.iter_frames_at(list(waiting)):
                    while waiting and waiting[0] <= number:
                        waiting.popleft()
                    yield number, picture
            except MalformedStream:
                waiting.popleft()  # the one that was to come next
                self.lost_pictures += 1
        self.lost_pictures += len(waiting)


def _has_vectors(decoder: MotionDecoder) -> bool:
    """Whether the codec has motion vectors; tried on the first picture that has any."""
    try:
        next(iter(decoder.iter_frames_at(range(min(2, len(decoder))))), None)
    except NoMotionVectors:
        return False
    return True
