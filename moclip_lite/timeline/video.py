"""The timeline of a file: its pictures are read once, in order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from mv_tools.urls import spelled

from ..results.calibration import Calibration
from .buffer import PooledField
from .model import WindowModel, WindowScore
from .options import TimelineOptions, TimelineProgress, silent
from .plan import plan_windows
from .segments import answering_stream, join_windows, timeline_window
from .timeline import Timeline
from .video_file import OpenFile, Picture
from .window import Window, WindowBuffers

__all__ = ["make_timeline", "score_windows"]

_END: Final = 2**63 - 1


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
    with ExitStack() as opened:
        file = OpenFile.open(model, path, opened)
        duration, origin = float(file.pictures.edges[-1]), file.origin
        snap = options.frames == "keyframes"
        scores = list(score_windows(model, file, window, stride, progress, snap=snap))
    notes = [*_notes_before(model, calibration, options), *file.notes(), *_problems(scores)]
    scores = [_shifted(score, origin) for score in scores]
    segments = join_windows(scores, model.labels, known, threshold=options.threshold, penalty=options.penalty)
    answering = known.of(answering_stream(scores))
    threshold = answering.threshold if options.threshold is None else options.threshold
    return Timeline(
        spelled(path),
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


def _notes_before(
    model: WindowModel, calibration: Calibration | None, options: TimelineOptions
) -> Iterator[str]:
    """What is not as a reader may expect, whatever the file holds."""
    if calibration is None and options.threshold is None:
        yield (
            "no calibration is known: scores are not calibrated and the threshold is 0.4; "
            "set another with --threshold"
        )
    if model.experiment.clip.needs_motion:
        yield (
            "frames of windows are those of clip.positions=reachable, weighted equally and not cropped: "
            "choosing them by motion is for whole clips"
        )


def score_windows(
    model: WindowModel,
    file: OpenFile,
    window: float,
    stride: float,
    progress: TimelineProgress,
    *,
    snap: bool = False,
) -> Iterator[WindowScore]:
    """Scores of all windows in order; `snap` as in :func:`~moclip_lite.timeline.plan.plan_windows`."""
    spec, clip = model.experiment.motion, model.experiment.clip
    windows = plan_windows(file.pictures, window, stride, spec, clip, snap=snap)
    geometry = None if file.motion is None else file.motion.metadata
    buffers = WindowBuffers(model, geometry)
    every = spec.field == "accumulated"
    # Nothing is read ahead on threads: it gained no time, since the parser and the networks use all cores by
    # themselves, and memory became fragmented.
    motion = map(buffers.motion.pool, file.read_motion(windows, every))
    feed = _Feed(buffers, motion, file.read_pictures(windows))
    for done, planned in enumerate(windows, start=1):
        feed.read_to(planned)
        yield buffers.score(planned)
        feed.forget_before(windows[done] if done < len(windows) else None)
        progress("timeline", done, len(windows))


class _Feed:
    """Reads into the buffers what a window needs.

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
