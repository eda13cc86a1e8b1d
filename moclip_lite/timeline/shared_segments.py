"""Segments of a stream that are encoded once for all windows which hold them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ..motion.read import motion_energies
from ..motion.settings import MotionSpec
from .buffer import MotionBuffer
from .model import Floats, MotionAnswer, SegmentModel, WindowModel, encodes_segments

__all__ = ["MovingPictures", "SharedSegments"]

_TOLERANCE: Final = 1e-3  # seconds; some containers round times to milliseconds


@dataclass(frozen=True)
class MovingPictures:
    """The pictures of a stream that are no keyframes, as far as they are known.

    Attributes:
        seconds: when they are shown, ascending.
        numbers: of the pictures.
    """

    seconds: list[float]
    numbers: list[int]

    def between(self, first: int, last: int) -> list[int]:
        """Numbers from `first` to `last`, both included."""
        return self.numbers[bisect_left(self.numbers, first) : bisect_right(self.numbers, last)]

    def forget(self, before: int) -> None:
        """Drop pictures before a number."""
        count = bisect_left(self.numbers, before)
        del self.seconds[:count], self.numbers[:count]


@dataclass(frozen=True)
class _Encoded:
    """One segment: its features [views, D] and mean motion."""

    features: Floats
    energy: float


class SharedSegments:
    """Motion of windows whose distance is a whole number of segments.

    Time is divided into segments, as many in a window as a clip has; a window holds those that begin in it. A
    segment is made of the pictures around its middle, whatever window asks, so that it is encoded once.
    Pictures of a later stride are not waited for: a segment ends before them.

    Args:
        model: the motion network.
        spec: how motion is read.
        buffer: holds the motion of pictures.
        window, stride: seconds.

    Attributes:
        slot: seconds from one segment to the next. A segment may reach so far back before its window.
    """

    def __init__(
        self, model: SegmentModel, spec: MotionSpec, buffer: MotionBuffer, window: float, stride: float
    ) -> None:
        self._model, self._spec, self._buffer = model, spec, buffer
        self.slot = window / self._spec.segments
        self._per_stride = round(stride / self.slot)
        self._encoded: dict[int, _Encoded | None] = {}
        self._pooled = 0  # segments whose pictures were pooled or tried

    @classmethod
    def of(
        cls, model: WindowModel, buffer: MotionBuffer, window: float, stride: float
    ) -> SharedSegments | None:
        """None where windows can't share segments: another distance, a crop that depends on the window, or a
        model that takes whole windows only."""
        spec, network = model.experiment.motion, model.motion
        apart = stride / (window / spec.segments)
        if not encodes_segments(network) or spec.crop != "none":
            return None
        if round(apart) < 1 or abs(apart - round(apart)) > 1e-6:
            return None
        return cls(network, spec, buffer, window, stride)

    def clear(self) -> None:
        """Forget all segments: the next window has number 0."""
        self._encoded.clear()
        self._pooled = 0

    def pool_early(self, origin: float, pictures: MovingPictures) -> None:
        """Pool the pictures of segments that are over, so that the end of a window leaves less to do.

        Args:
            origin: when the first window begins.
            pictures: those in the buffer.
        """
        latest = pictures.seconds[-1] if pictures.seconds else origin
        while latest >= origin + (self._pooled + 1) * self.slot - _TOLERANCE:
            place = self._place(self._pooled, origin, pictures)
            # Where pictures to come may move it, that is left to the window.
            if place is not None and place[-1] < pictures.numbers[-1]:
                self._buffer.pool_waiting(place.tolist())
            self._pooled += 1

    def answer(self, window: int, origin: float, pictures: MovingPictures) -> tuple[MotionAnswer | None, str]:
        """What the motion network says of a window.

        Args:
            window: its number, from 0.
            origin: when the first window begins.
            pictures: those in the buffer.

        Returns:
            (answer, ""), or (None, why there is none).
        """
        first = window * self._per_stride
        numbers = range(first, first + self._spec.segments)
        self._encode([n for n in numbers if n not in self._encoded], origin, pictures)
        for number in [number for number in self._encoded if number < first]:
            del self._encoded[number]
        segments = self._filled([self._encoded[n] for n in numbers])
        if segments is None:
            return None, "most of the window has no picture with motion"
        tokens, scores = self._model.window_features(np.stack([s.features for s in segments]))
        return MotionAnswer(tokens, scores, float(np.mean([s.energy for s in segments]))), ""

    def _filled(self, segments: Sequence[_Encoded | None]) -> list[_Encoded] | None:
        """The nearest segments in place of missing ones; None if more than half are missing."""
        known = np.array([i for i, segment in enumerate(segments) if segment is not None])
        if 2 * len(known) < len(segments):
            return None
        nearest = [int(known[np.abs(known - i).argmin()]) for i in range(len(segments))]
        return [segment for i in nearest if (segment := segments[i]) is not None]

    def _encode(self, numbers: Sequence[int], origin: float, pictures: MovingPictures) -> None:
        """Encode segments together."""
        places = {number: self._place(number, origin, pictures) for number in numbers}
        self._encoded.update(dict.fromkeys(numbers))
        known = [number for number, place in places.items() if place is not None]
        motion, usable = self._buffer.segments([place for place in places.values() if place is not None])
        if motion is None:
            return
        features, energies = self._model.segment_features(motion), motion_energies(motion)
        for i, rows, energy in zip(usable, features, energies.tolist(), strict=True):
            self._encoded[known[i]] = _Encoded(rows, energy)

    def _place(self, number: int, origin: float, pictures: MovingPictures) -> npt.NDArray[np.int64] | None:
        """Numbers [frames] of the pictures of a segment; None where there are none."""
        spec, seconds = self._spec, pictures.seconds
        begin = origin + number * self.slot
        boundary = origin + (number // self._per_stride + 1) * self._per_stride * self.slot
        stop = bisect_left(seconds, boundary - _TOLERANCE)
        if bisect_left(seconds, begin - self.slot) >= stop:  # nothing near
            return None
        span = (spec.frames - 1) * spec.stride + 1
        middle = bisect_left(seconds, begin + self.slot / 2 - _TOLERANCE)
        start = min(max(middle - span // 2, 0), max(stop - span, 0))
        places = np.minimum(start + spec.stride * np.arange(spec.frames), stop - 1)
        return np.array([pictures.numbers[i] for i in places.tolist()], np.int64)
