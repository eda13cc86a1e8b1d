"""Presentation order of frames that arrive in decoding order."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Final

from .coded_frame import ParsedFrame

__all__ = ["OutputOrder", "PocInterval"]

_LEARNING_FRAMES: Final = 64
"""Frames after which the reordering seen so far is taken for the stream's, where it is not coded."""

_MAX_INTERVALS: Final = 64  # different ones that are counted: bounds the memory

_SETTLED_INTERVALS: Final = 4
"""Differences by which the most common one is known, though a frame among them may be missing."""


class PocInterval:
    """The most common difference in PicOrderCnt between consecutive frames.

    Args:
        default: the value while there is none.
    """

    def __init__(self, default: int) -> None:
        self._default = default  # the smallest difference seen next to lost frames, if that is smaller
        self._counts: Counter[int] = Counter()
        self._total = 0
        self._value: int | None = None  # until a count changes

    def add(self, interval: int) -> None:
        """Count a difference of two frames that follow each other in presentation order."""
        if interval > 0 and (interval in self._counts or len(self._counts) < _MAX_INTERVALS):
            self._counts[interval] += 1
            self._total += 1
            self._value = None

    def limit_default(self, interval: int) -> None:
        """Tell of a difference of two frames between which others may be missing."""
        if interval > 0:
            self._default = min(self._default, interval)
            self._value = None

    @property
    def known(self) -> bool:
        """Whether enough differences were counted."""
        return self._total >= _SETTLED_INTERVALS

    @property
    def value(self) -> int:
        """The smallest of the most common differences."""
        if self._value is None:
            counts = self._counts
            self._value = min(counts, key=lambda step: (-counts[step], step), default=self._default)
        return self._value


class OutputOrder:
    """Gives frames out in presentation order, as early as it is certain which one is next.

    A frame is next once more frames wait than the sequence parameter set lets precede a frame in decoding
    order and follow it in output order (`max_num_reorder_frames` of H.264, E.2.1; `sps_max_num_reorder_pics`
    of HEVC, C.5.2.2), or once a new coded video sequence starts. Where an H.264 stream does not code the
    number, it is the size of the decoded picture buffer of its level (A.3.1), 0 for pic_order_cnt_type 2, and
    after 64 frames the reordering seen so far. A frame that comes after a later one was given out is
    left out and counted, and the buffer's size holds from then on.

    Args:
        default_interval: PicOrderCnt from frame to frame while it is unknown.
        sort_times: whether times are given out in ascending order: those of waiting frames change places.

    Attributes:
        interval: PicOrderCnt from frame to frame.
        late: frames to be shown that are left out because they came too late.
    """

    def __init__(self, default_interval: int, *, sort_times: bool = False) -> None:
        self.interval = PocInterval(default_interval)
        self.late = 0
        self._sort_times = sort_times
        self._waiting: list[ParsedFrame] = []  # by order
        self._open: ParsedFrame | None = None  # its second field may follow
        self._last: int | None = None  # order of the frame given out last, in this sequence
        self._seen = 0
        self._depth = 0  # the most frames that followed, in output order, one decoded after them

    def add(self, frame: ParsedFrame, *, limit: int, coded: bool) -> list[ParsedFrame]:
        """Add the next frame in decoding order; returns those that are next in presentation order.

        Args:
            frame: it stays open for a second field, which the caller adds to it, up to the next call.
            limit: most frames that precede a frame in decoding order and follow it in output order.
            coded: whether the stream itself says so.
        """
        self._open = None
        if self._last is not None and frame.order <= self._last:
            self.late += frame.shown
            self._seen = -(2**62)  # what was learned does not hold
            return self._next(limit)
        self._waiting.append(frame)
        self._waiting.sort(key=lambda waiting: waiting.order)
        if frame.may_continue:
            self._open = frame
        if not coded and self._seen >= _LEARNING_FRAMES:
            limit = min(limit, self._depth)
        return self._next(limit)

    def close(self, limit: int, *, coded: bool) -> list[ParsedFrame]:
        """The frame added last is complete; returns the frames that are next."""
        self._open = None
        self._waiting.sort(key=lambda waiting: waiting.order)  # its second field may be the first one shown
        if not coded and self._seen >= _LEARNING_FRAMES:
            limit = min(limit, self._depth)
        return self._next(limit)

    def start_sequence(self, *, complete: bool = True) -> list[ParsedFrame]:
        """Return all waiting frames: those that follow are presented later.

        Args:
            complete: whether all frames of the sequence were added; else some between them are missing.
        """
        self._open = None
        if complete:
            frames = self._next(0)
        else:
            frames = []
            while self._waiting:
                frames.append(self._waiting.pop(0))
                self._stamp(frames[-1])
            for earlier, later in pairwise(frames):
                self.interval.limit_default(later.order - earlier.order)
        self._last = None
        return frames

    def discard(self) -> int:
        """Drop the waiting frames; returns the number of those to be shown."""
        count = sum(frame.shown for frame in self._waiting)
        self._waiting.clear()
        self._open = None
        return count

    def _next(self, limit: int) -> list[ParsedFrame]:
        frames = []
        while len(self._waiting) > limit and self._waiting[0] is not self._open:
            frame = self._waiting.pop(0)
            overtaken = sum(other.decode_index < frame.decode_index for other in self._waiting)
            self._depth = max(self._depth, overtaken)
            self._seen += 1
            if self._last is not None:
                self.interval.add(frame.order - self._last)
            self._last = frame.order
            self._stamp(frame)
            frames.append(frame)
        return frames

    def _stamp(self, frame: ParsedFrame) -> None:
        """Give the next frame the earliest time of those that wait."""
        if not self._sort_times or frame.seconds is None:
            return
        timed = [frame, *(other for other in self._waiting if other.seconds is not None)]
        earliest = min(timed, key=lambda other: other.seconds or 0.0)
        frame.seconds, earliest.seconds = earliest.seconds, frame.seconds
