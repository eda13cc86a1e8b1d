"""The timeline of a file: its pictures are read once, in order, on threads beside the networks."""

from __future__ import annotations

import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

import mv_tools
from mv_tools import ArgumentError, MalformedStream, MotionDecoder, MotionFrame, NoMotionVectors, RgbDecoder
from mv_tools.source import open_video

from ..errors import CheckpointError
from ..results.calibration import Calibration
from .buffer import PooledField
from .model import WindowModel, WindowScore
from .plan import FilePictures, plan_windows
from .prefetch import prefetched
from .scorer import STRIDE, Window, WindowBuffers
from .segments import SWITCH_PENALTY, join_windows, timeline_window
from .timeline import Timeline

__all__ = [
    "OpenFile",
    "TimelineFrames",
    "TimelineOptions",
    "TimelineProgress",
    "make_timeline",
    "score_windows",
    "silent",
]

TimelineProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with (stage, windows done, windows to do), such as ``Reporter.progress``."""

TimelineFrames: TypeAlias = Literal["keyframes", "clip"]
"""Which frames the appearance encoder sees, see :class:`TimelineOptions`."""

_MOTION_AHEAD: Final = 64  # pictures' pooled fields
_PICTURES_AHEAD: Final = 4
_END: Final = 2**63 - 1
_MAX_DAMAGED_PICTURES: Final = 50  # places where decoding is taken up again

Picture = npt.NDArray[np.uint8]


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True, kw_only=True)
class TimelineOptions:
    """How windows are laid and joined.

    Attributes:
        window: seconds; None for the median length of the run's training clips.
        stride: seconds between windows; None for a quarter of the window.
        threshold: calibrated probability below which a window is none; None for the run's calibration.
        penalty: of a change of label, see :data:`moclip_lite.timeline.segments.SWITCH_PENALTY`.
        frames: "keyframes": where a window's frames by ``clip.positions=reachable`` are not all keyframes, its keyframes
            stand in for them, several times faster with keyframes seconds apart. "clip": those of `predict`.

    Raises:
        mv_tools.ArgumentError: a value is out of range.
    """

    window: float | None = None
    stride: float | None = None
    threshold: float | None = None
    penalty: float = SWITCH_PENALTY
    frames: TimelineFrames = "keyframes"

    def __post_init__(self) -> None:
        if self.window is not None and not 0 < self.window < float("inf"):
            raise ArgumentError(f"window must be above 0 seconds, got {self.window:g}")
        if self.stride is not None and not 0 < self.stride < float("inf"):
            raise ArgumentError(f"stride must be above 0 seconds, got {self.stride:g}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ArgumentError(f"threshold must be from 0 to 1, got {self.threshold:g}")
        if self.frames not in get_args(TimelineFrames):
            raise ArgumentError(f"frames must be one of {get_args(TimelineFrames)}, got {self.frames!r}")
        if not 0 <= self.penalty < float("inf"):
            raise ArgumentError(f"penalty must be 0 or more, got {self.penalty:g}")

    def lengths(self, calibration: Calibration) -> tuple[float, float]:
        """Window and stride in seconds.

        Raises:
            CheckpointError: neither the options nor the run tell the window.
            mv_tools.ArgumentError: the stride is longer than the window.
        """
        window = self.window or calibration.window
        if window is None:
            raise CheckpointError(
                "the run does not tell how long its training clips are; give the length of windows in "
                "seconds with --window"
            )
        stride = self.stride or STRIDE * window
        if stride > window:
            raise ArgumentError(f"a stride of {stride:g} s is longer than the windows of {window:g} s")
        return window, stride


def make_timeline(
    model: WindowModel,
    path: Path,
    calibration: Calibration | None,
    options: TimelineOptions,
    progress: TimelineProgress = silent,
) -> Timeline:
    """Label the windows of a file and join them.

    Raises:
        FileNotFoundError: no such file.
        mv_tools.MotionError: it can't be read.
        CheckpointError: the length of windows is unknown.
        mv_tools.ArgumentError: see :class:`TimelineOptions`.
    """
    started = time.perf_counter()
    known = calibration or Calibration()
    window, stride = options.lengths(known)
    notes: list[str] = []
    if calibration is None and options.threshold is None:
        notes.append(
            "the run holds no calibration: scores are not calibrated and a class counts as sure from 0.4 on; "
            "choose with --threshold"
        )
    if model.experiment.clip.needs_motion:
        notes.append(
            "frames of windows are those of clip.positions=reachable, weighted equally and not cropped: choosing them by "
            "motion is for whole clips"
        )
    with ExitStack() as opened:
        file = OpenFile.open(model, path, opened)
        duration, origin = float(file.pictures.edges[-1]), file.origin
        snap = options.frames == "keyframes"
        scores = list(score_windows(model, file, window, stride, progress, snap=snap))
    notes += file.notes()
    notes += _problems(scores)
    scores = [_shifted(score, origin) for score in scores]
    segments = join_windows(scores, model.labels, known, threshold=options.threshold, penalty=options.penalty)
    limits = [known.of(score.stream).threshold for score in scores if score.stream is not None]
    threshold = (
        options.threshold if options.threshold is not None else (limits or [known.of("").threshold])[0]
    )
    return Timeline(
        str(path),
        duration,
        tuple(segments),
        tuple(timeline_window(score, model.labels, known) for score in scores),
        tuple(model.labels),
        window,
        stride,
        threshold,
        tuple(notes),
        time.perf_counter() - started,
        origin,
    )


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
        """Scan a file; one without motion vectors is re-encoded into a folder that lasts as long as `opened`."""
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
        return cls(motion, frames, pictures, _origin(path, frames), remark)

    def notes(self) -> list[str]:
        """What a reader should know of the file."""
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


def _origin(path: Path, frames: RgbDecoder) -> float:
    """When the first picture is shown: players start their clock with the first of all streams."""
    if frames.times is None or not len(frames.times):
        return 0.0
    with open_video(path, packets_only=True) as (container, _):
        started = container.start_time
    return max(float(frames.times[0]) - (started or 0) / 1e6, 0.0) if started is not None else 0.0


def score_windows(
    model: WindowModel,
    file: OpenFile,
    window: float,
    stride: float,
    progress: TimelineProgress,
    *,
    snap: bool = False,
) -> Iterator[WindowScore]:
    """Scores of all windows of a file, in order; `snap` as in :func:`~moclip_lite.timeline.plan.plan_windows`."""
    spec, clip = model.experiment.motion, model.experiment.clip
    windows = plan_windows(file.pictures, window, stride, spec, clip, snap=snap)
    geometry = None if file.motion is None else file.motion.metadata
    buffers = WindowBuffers(model, geometry)
    every = spec.field == "accumulated"
    with ExitStack() as threads:
        motion = threads.enter_context(
            prefetched(map(buffers.motion.pool, file.read_motion(windows, every)), _MOTION_AHEAD)
        )
        pictures = threads.enter_context(prefetched(file.read_pictures(windows), _PICTURES_AHEAD))
        feed = _Feed(buffers, motion, pictures)
        for done, planned in enumerate(windows, start=1):
            feed.read_to(planned)
            yield buffers.score(planned)
            feed.forget_before(windows[done] if done < len(windows) else None)
            progress("timeline", done, len(windows))


class _Feed:
    """Moves what was read ahead into the buffers, as far as a window needs it.

    Args:
        buffers: to fill.
        motion: pooled motion, in the order of picture numbers.
        pictures: decoded pictures with their numbers, in order.
    """

    def __init__(
        self, buffers: WindowBuffers, motion: Iterator[PooledField], pictures: Iterator[tuple[int, Picture]]
    ) -> None:
        self._buffers, self._motion, self._pictures = buffers, motion, pictures
        self._motion_read, self._pictures_read = -1, -1

    def read_to(self, window: Window) -> None:
        """Read on until all pictures of a window were read."""
        last = -1 if window.motion is None else int(window.motion.max())
        while self._motion_read < last:
            pooled = next(self._motion, None)
            if pooled is None:
                self._motion_read = _END
                break
            self._buffers.motion.keep(pooled)
            self._motion_read = pooled.number
        last = max(window.pictures, default=-1)
        while self._pictures_read < last:
            number, picture = next(self._pictures, (_END, None))
            if picture is not None:
                self._buffers.pictures.add(number, picture)
            self._pictures_read = number

    def forget_before(self, window: Window | None) -> None:
        """Drop what a window and those after it do not take."""
        if window is not None and window.motion is not None:
            self._buffers.motion.forget(int(window.motion.min()))
        if window is not None and window.pictures:
            self._buffers.pictures.forget(min(window.pictures))


def _problems(scores: Sequence[WindowScore]) -> list[str]:
    """Why windows lack streams, counted."""
    problems = Counter(score.problem for score in scores if score.problem)
    return [f"{count} of {len(scores)} windows: {problem}" for problem, count in problems.most_common(5)]


def _shifted(score: WindowScore, seconds: float) -> WindowScore:
    """The same scores at a later time."""
    return replace(score, start=score.start + seconds, end=score.end + seconds)
