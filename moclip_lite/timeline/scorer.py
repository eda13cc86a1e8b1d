"""Scores of windows that slide over a stream, as it comes in: bounded memory, no file needed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from mv_tools import ArgumentError, MalformedStream, MotionFrame

from ..motion.read import PictureGeometry
from ..sampling import frame_positions, segment_windows
from .model import WindowModel, WindowScore
from .options import STRIDE
from .shared_segments import MovingPictures, SharedSegments
from .window import Window, WindowBuffers

__all__ = ["WindowScorer"]

_MAX_PICTURES: Final = 50_000  # in one window; more means that times do not increase
_TOLERANCE: Final = 1e-3  # seconds; some containers round times to milliseconds


class WindowScorer:
    """Scores of windows that slide over a stream.

    Windows start at the first picture and every `stride` seconds. One is scored as soon as a picture arrives
    that begins at or after its end. Each picture's motion is pooled once and each picture of
    :meth:`add_picture` is encoded at most once, by the first window that takes it.
    Memory holds one window and a stride.

    A window takes ``clip.frames`` of the added pictures, evenly spaced, as a clip does with
    ``clip.positions=keyframes``: add the keyframes. Add them before the motion frame that ends their window.
    A window without any is scored by motion alone.

    Where time goes back, or forward by more than a window (a reconnected camera), open windows are dropped
    except a last one on the pictures so far, and windows start again.

    Args:
        model: the classifier, such as a :class:`moclip_lite.Classifier`.
        geometry: of the pictures: a :class:`mv_tools.VideoMetadata` or a :class:`FrameGeometry`.
        window: length of windows in seconds.
        stride: distance of windows in seconds; a quarter of `window` by default.
        admit: called with (start, end) of a window that is complete;
            one for which it returns False is not scored.
        share: encode each segment of the stream once, for all windows that hold it: a quarter of the work
            with the default stride. Segments then lie at fixed times and not where a clip of the window's
            pictures has them, at most half a segment apart. Where windows can't share them,
            they are scored as clips.

    Raises:
        mv_tools.ArgumentError: window or stride is not positive, or the stride is longer than the window.

    Example:
        >>> scorer = WindowScorer(clf, decoder.metadata, window=4.0)   # doctest: +SKIP
        >>> for frame in decoder:                                      # doctest: +SKIP
        ...     for score in scorer.push(frame):
        ...         print(score.start, score.end, clf.labels[score.answer.argmax()])
    """

    def __init__(
        self,
        model: WindowModel,
        geometry: PictureGeometry,
        *,
        window: float,
        stride: float | None = None,
        admit: Callable[[float, float], bool] | None = None,
        share: bool = False,
    ) -> None:
        self.window = float(window)
        self.stride = STRIDE * self.window if stride is None else float(stride)
        if not 0 < self.stride <= self.window < float("inf"):
            raise ArgumentError(
                f"a stride of {self.stride:g} s for windows of {self.window:g} s: "
                "both must be above 0, and the stride at most the window"
            )
        self._model = model
        self._admit = admit
        self._buffers = WindowBuffers(model, geometry)
        motion = self._buffers.motion
        can_share = share and model.motion is not None
        self._shared = SharedSegments.of(model, motion, self.window, self.stride) if can_share else None
        self._spec, self._frames = model.experiment.motion, model.experiment.clip.frames
        self._seconds: list[float] = []  # of the pictures in the buffer
        self._numbers: list[int] = []
        self._moving = MovingPictures([], [])  # those of them that are no keyframes
        self._late = False  # whether the last whole window was refused
        self._shown: list[float] = []  # times of added pictures, ascending
        self._shown_numbers: list[int] = []
        self._added = 0
        self._origin: float | None = None
        self._next = 0  # number of the window to be scored next
        self._step = 0.0  # seconds between the last two pictures

    def change_geometry(self, geometry: PictureGeometry) -> None:
        """Tell that the pictures that follow have another size."""
        self._buffers.motion.change_geometry(geometry)

    def push(self, frame: MotionFrame, seconds: float | None = None) -> list[WindowScore]:
        """Add the motion of a picture; pictures come in presentation order.

        Args:
            frame: of the picture; its `index` grows from one to the next.
            seconds: when it is shown, in place of ``frame.pts_seconds``.

        Returns:
            Scores of the windows that this picture ends, most often none.

        Raises:
            mv_tools.ArgumentError: the picture has no time.
            mv_tools.MalformedStream: a window holds so many pictures that their times can't be right.
        """
        time = frame.pts_seconds if seconds is None else seconds
        if time is None:
            raise ArgumentError(f"picture {frame.index} has no time; pass `seconds`")
        scores: list[WindowScore] = []
        if self._seconds:
            step = time - self._seconds[-1]
            if step > self.window or step < -self.stride:
                scores += self.flush()
            else:
                time = max(time, self._seconds[-1])
                self._step = max(step, 0.0) or self._step
        if self._origin is None:
            self._origin, self._next = time, 0
        while time >= self._start(self._next) + self.window - _TOLERANCE:
            start = self._start(self._next)
            self._late = self._admit is not None and not self._admit(start, start + self.window)
            if not self._late:
                scores.append(self._score_next(start, start + self.window))
            self._next += 1
            self._forget(start - (0.0 if self._shared is None else self._shared.slot))
        if len(self._seconds) >= _MAX_PICTURES:
            raise MalformedStream(
                f"{len(self._seconds)} pictures within {self.window:g} s: their times do not increase"
            )
        self._seconds.append(time)
        self._numbers.append(frame.index)
        if not frame.is_keyframe:
            self._moving.seconds.append(time)
            self._moving.numbers.append(frame.index)
        if self._model.motion is not None:
            self._buffers.motion.add(frame)
        if self._shared is not None and not self._late:
            self._shared.pool_early(self._origin, self._moving)
        return scores

    def add_picture(self, seconds: float, picture: npt.NDArray[np.uint8]) -> None:
        """Add a decoded picture for the appearance encoder, in the order of time.

        One that follows the last within 1 / (2 x ``clip.frames``) of a window is ignored, so that few more
        pictures are encoded than windows take, however many are added.

        Args:
            seconds: when it is shown, on the clock of :meth:`push`.
            picture: uint8 [H, W, 3], RGB as shown. It is kept for a while, not copied.
        """
        if not self._model.heads:
            return
        if self._shown and seconds < self._shown[-1]:  # time went back: these belong to no window to come
            self._drop(0, len(self._shown))
        if self._shown and seconds - self._shown[-1] < self.window / (2 * self._frames) - _TOLERANCE:
            return
        self._shown.append(seconds)
        self._shown_numbers.append(self._added)
        self._buffers.pictures.add(self._added, picture)
        self._added += 1

    def flush(self) -> list[WindowScore]:
        """End the stream: score the pictures after the last whole window, and reset.

        Returns:
            One window that ends with the last picture, shorter than others in a short stream; none if the
            last whole window covers all pictures, or for a single picture, whose duration is unknown.
        """
        scores: list[WindowScore] = []
        if self._origin is not None and self._seconds:
            end = self._seconds[-1] + self._step
            covered = self._start(self._next - 1) + self.window if self._next else self._origin
            if end > covered + _TOLERANCE or not self._next:
                start = max(self._origin, end - self.window)
                if end > start:
                    scores.append(self._score(start, end))
        self._origin, self._next, self._step = None, 0, 0.0
        if self._shared is not None:
            self._shared.clear()
        self._drop(len(self._seconds), len(self._shown))
        return scores

    def _start(self, window: int) -> float:
        assert self._origin is not None
        return self._origin + window * self.stride

    def _score_next(self, start: float, end: float) -> WindowScore:
        """Score the whole window that is next."""
        if self._shared is None or self._origin is None:
            return self._score(start, end)
        answer, problem = self._shared.answer(self._next, self._origin, self._moving)
        window = Window(start, end, None, self._pictures_of(start, end))
        return self._buffers.score_answered(window, answer, problem)

    def _score(self, start: float, end: float) -> WindowScore:
        """Score the window of the buffered pictures in [start, end)."""
        first = bisect_left(self._seconds, start - _TOLERANCE)
        stop = max(bisect_left(self._seconds, end - _TOLERANCE), first)
        moving = self._moving.between(self._numbers[first], self._numbers[stop - 1]) if first < stop else []
        motion = None
        if moving:
            places = segment_windows(len(moving), self._spec.segments, self._spec.frames, self._spec.stride)
            motion = np.array(moving, np.int64)[places]
        return self._buffers.score(Window(start, end, motion, self._pictures_of(start, end)))

    def _pictures_of(self, start: float, end: float) -> tuple[int, ...]:
        """Numbers of the added pictures that a window takes: evenly spaced ones, as of a clip's keyframes."""
        first = bisect_left(self._shown, start - _TOLERANCE)
        stop = bisect_left(self._shown, end - _TOLERANCE)
        if first == stop:
            return ()
        return tuple(
            self._shown_numbers[first + i] for i in frame_positions(stop - first, self._frames).tolist()
        )

    def _forget(self, before: float) -> None:
        """Drop pictures shown before a time."""
        self._drop(
            bisect_left(self._seconds, before - _TOLERANCE), bisect_left(self._shown, before - _TOLERANCE)
        )

    def _drop(self, frames: int, pictures: int) -> None:
        """Drop so many of the oldest."""
        if frames:
            self._buffers.motion.forget(self._numbers[frames - 1] + 1)
            self._moving.forget(self._numbers[frames - 1] + 1)
            for kept in (self._seconds, self._numbers):
                _remove_first(kept, frames)
        if pictures:
            self._buffers.pictures.forget(self._shown_numbers[pictures - 1] + 1)
            _remove_first(self._shown, pictures)
            _remove_first(self._shown_numbers, pictures)


def _remove_first(values: list[float] | list[int], count: int) -> None:
    del values[:count]
