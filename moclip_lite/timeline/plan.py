"""Which windows a file has, and which pictures each one is scored on: what `predict` reads of such a clip."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from mv_tools import MalformedStream, MotionDecoder, RgbDecoder

from ..appearance.settings import AppearanceSettings
from ..motion.settings import MotionSpec
from ..sampling import frame_positions, reachable_positions, segment_windows
from .window import Window

__all__ = ["FilePictures", "plan_windows", "window_times"]

_TOLERANCE: Final = 1e-3  # seconds; some containers round times to milliseconds
_ALWAYS: Final = 10_000  # windows that a video may have, however few its pictures
_FOR_A_PICTURE: Final = 10  # windows; videos of one picture a second have about 4

Numbers = npt.NDArray[np.int64]
Times = npt.NDArray[np.float64]


def window_times(edges: Times, window: float, stride: float) -> list[tuple[float, float]]:
    """Starts and ends of the windows of a video; the last one ends with it.

    Args:
        edges: times at which pictures appear, from 0 on, and at which the last one ends.
        window, stride: seconds.

    Returns:
        One window of the whole video where it is no longer than a window and half a picture.

    Raises:
        mv_tools.MalformedStream: so many windows that almost all of them would show no picture.
    """
    duration = float(edges[-1])
    slack = max(float(np.median(np.diff(edges))) / 2, _TOLERANCE)
    if duration <= window + slack:
        return [(0.0, duration)]
    _check_number((duration - window) / stride, len(edges) - 1, duration, stride)
    count = int((duration - window + _TOLERANCE) / stride) + 1
    times = [(k * stride, k * stride + window) for k in range(count)]
    if duration - times[-1][1] > slack:
        times.append((duration - window, duration))
    return times


def _check_number(windows: float, pictures: int, duration: float, stride: float) -> None:
    """Refuse times that can't be right: a few pictures over years would fill the memory with windows."""
    if windows > max(_ALWAYS, _FOR_A_PICTURE * pictures):
        shown = f"{pictures} picture{'' if pictures == 1 else 's'}"
        raise MalformedStream(
            f"a window every {stride:.3g} s of {duration:.4g} s would be {windows:.3g} windows for {shown}: "
            "if the times of the video are right, a longer --window and --stride make fewer"
        )


@dataclass(frozen=True)
class FilePictures:
    """Pictures of a file, as far as windows choose among them.

    Attributes:
        edges: float64 [frames + 1], see :meth:`mv_tools.RgbDecoder.edges`.
        moving: int64, numbers of the motion pictures that are no keyframes, ascending;
            None if motion is not read.
        moving_frames: the frames that they belong to.
        usable: int64, numbers of the frames that the appearance encoder may see; None if it sees none.
        keyframes: numbers of frames that decoding can start at.
        entry, before: of each frame, see :meth:`mv_tools.RgbDecoder.preroll`.
        snap: whether windows of ``clip.positions=reachable`` take keyframes, wherever they are.
    """

    edges: Times
    moving: Numbers | None
    moving_frames: Numbers | None
    usable: Numbers | None
    keyframes: Numbers
    entry: Numbers
    before: Numbers
    snap: bool = False

    @classmethod
    def of(cls, frames: RgbDecoder, motion: MotionDecoder | None, *, shown: bool) -> FilePictures:
        """Describe a file.

        Args:
            frames: of the file.
            motion: of the same file, or of a copy with the same pictures; None if motion is not read.
            shown: whether the appearance encoder sees any.
        """
        moving = moving_frames = None
        if motion is not None:
            keyframe_indices = motion.keyframe_indices()  # scans the file: only then are its pictures counted
            still = np.zeros(len(motion), bool)
            still[keyframe_indices] = True
            moving = np.flatnonzero(~still)
            moving_frames = motion.frame_of[moving]
        usable = np.flatnonzero(~frames.pictures.corrupt) if shown else None
        entry, before = frames.preroll()
        keyframes = np.array(frames.keyframe_indices(), np.int64)
        return cls(frames.edges(), moving, moving_frames, usable, keyframes, entry, before)

    def window(self, start: float, end: float, motion: MotionSpec, clip: AppearanceSettings) -> Window:
        """The pictures that a window from `start` to `end` is scored on."""
        bounds = (start - _TOLERANCE, end - _TOLERANCE)
        first, stop = np.searchsorted(self.edges[:-1], bounds).tolist()
        indices = None
        if self.moving is not None and self.moving_frames is not None:
            part = self.moving[slice(*np.searchsorted(self.moving_frames, (first, stop)).tolist())]
            if len(part):
                indices = part[segment_windows(len(part), motion.segments, motion.frames, motion.stride)]
        return Window(start, end, indices, tuple(self._shown(first, stop, clip)))

    def _shown(self, first: int, stop: int, clip: AppearanceSettings) -> list[int]:
        """Numbers of the frames from `first` to before `stop` that the appearance encoder sees."""
        if self.usable is None:
            return []
        if self.snap and clip.positions in ("reachable", "motion"):
            return self._snapped(first, stop, clip)
        if clip.positions == "keyframes":
            keys = self.keyframes[slice(*np.searchsorted(self.keyframes, (first, stop)).tolist())]
            if not len(keys):  # the one before, as a viewer would see on opening the window
                keys = self.keyframes[np.searchsorted(self.keyframes, [first], "right") - 1]
            if len(keys) > clip.frames:
                keys = keys[frame_positions(len(keys), clip.frames)]
            chosen = keys[np.minimum(np.arange(clip.frames), len(keys) - 1)]
            return [int(number) for number in chosen]
        usable = self._usable(first, stop)
        if not len(usable):
            return []
        if clip.positions == "uniform":
            places = frame_positions(len(usable), clip.frames)
        else:
            places = reachable_positions(self.entry[usable], self.before[usable], clip.frames)
        return [int(number) for number in usable[places]]

    def _usable(self, first: int, stop: int) -> Numbers:
        """The usable frames from `first` to before `stop`; where none begins there, the one that is shown."""
        assert self.usable is not None
        start, end = np.searchsorted(self.usable, (first, stop)).tolist()
        return self.usable[start:end] if end > start else self.usable[max(start - 1, 0) : start]

    def _snapped(self, first: int, stop: int, clip: AppearanceSettings) -> list[int]:
        """Reachable frames where all are keyframes; else the window's keyframes, evenly spaced; where it has
        none, one frame, the quickest to decode."""
        usable = self._usable(first, stop)
        if not len(usable):
            return []
        places = reachable_positions(self.entry[usable], self.before[usable], clip.frames)
        if self.before[usable[places]].any():
            keys = np.flatnonzero(self.before[usable] == 0)
            if not len(keys):
                places = np.full(clip.frames, int(self.before[usable].argmin()))
            else:
                spread = keys if len(keys) <= clip.frames else keys[frame_positions(len(keys), clip.frames)]
                places = spread[np.minimum(np.arange(clip.frames), len(spread) - 1)]
        return [int(number) for number in usable[places]]


def plan_windows(
    pictures: FilePictures,
    window: float,
    stride: float,
    motion: MotionSpec,
    clip: AppearanceSettings,
    *,
    snap: bool = False,
) -> list[Window]:
    """All windows of a file with the pictures that they are scored on.

    Args:
        pictures: of the file.
        window, stride: seconds.
        motion, clip: what a clip is scored on.
        snap: take keyframes in place of frames that are slow to decode, where there is more than one window.
    """
    times = window_times(pictures.edges, window, stride)
    pictures = replace(pictures, snap=snap and len(times) > 1)
    return [pictures.window(start, end, motion, clip) for start, end in times]
