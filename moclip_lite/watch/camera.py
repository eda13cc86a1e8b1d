"""One camera: its thread reads motion, scores windows and gives out events."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from typing import Any, Final

from mv_tools import LivePicture, LiveStatistics, MotionError, MotionFrame
from mv_tools.display import Display
from mv_tools.live.address import Address
from mv_tools.live.items import LiveOptions, Silence
from mv_tools.live.reader import LiveReader

from ..errors import report_bug
from ..results.calibration import Calibration
from ..timeline.geometry import FrameGeometry
from ..timeline.model import WindowModel
from ..timeline.options import STRIDE
from ..timeline.scorer import WindowScorer
from ..timeline.timeline import Segment
from .events import MAX_UNDECIDED, Event, EventJoiner
from .settings import WatchSettings

__all__ = ["Camera", "CameraStatistics"]

_PAUSE: Final = 0.1  # seconds between packets that are read together
_SKIP_LAGS: Final = 2.0  # times max_lag from which on reading skips to the next keyframe


@dataclass(frozen=True, kw_only=True)
class CameraStatistics:
    """Counts of a camera.

    Attributes:
        reading: of the source.
        windows: scored.
        dropped: windows that were not scored because they were late.
        events: given out.
        seconds: length of what was read.
        lag: how late the last window was, in seconds.
    """

    reading: LiveStatistics = field(default_factory=LiveStatistics)
    windows: int = 0
    dropped: int = 0
    events: int = 0
    seconds: float = 0.0
    lag: float = 0.0


class Camera:
    """Watches one source in a thread of its own.

    Args:
        name: of the camera in events.
        address: of the source.
        model: the classifier, which threads may share.
        calibration: of the run.
        settings: see :class:`~moclip_lite.watch.settings.WatchSettings`; `window` is set.
        stop: ends watching.

    Attributes:
        failure: why it ended before it was stopped; empty while it runs, and at the end of a file.
    """

    def __init__(
        self,
        name: str,
        address: Address,
        model: WindowModel,
        calibration: Calibration,
        settings: WatchSettings,
        stop: threading.Event,
    ) -> None:
        assert settings.window is not None
        self.name, self.failure = name, ""
        self._address, self._model, self._calibration = address, model, calibration
        self._settings, self._stop = settings, stop
        self._window = settings.window
        self._stride = settings.stride or STRIDE * settings.window
        self._live = address.kind in ("network", "device")
        self._counts = CameraStatistics()
        self._seconds, self._events = 0.0, 0  # those of the counts, which change with each picture
        self._reader: LiveReader | None = None
        self._scoring: _Scoring | None = None
        self._lock, self._abandoned = threading.Lock(), False  # of what is scored
        self._thread: threading.Thread | None = None

    @property
    def statistics(self) -> CameraStatistics:
        """Counts so far."""
        counts = replace(self._counts, seconds=self._seconds, events=self._events)
        return counts if self._reader is None else replace(counts, reading=self._reader.statistics)

    @property
    def alive(self) -> bool:
        """Whether it is being watched."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, emit: Callable[[Event], None], say: Callable[[str], None]) -> None:
        """Begin to watch; `emit` and `say` are called from the camera's thread."""
        self._thread = threading.Thread(
            target=self._run, args=(emit, say), name=f"camera {self.name}", daemon=True
        )
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self, emit: Callable[[Event], None], say: Callable[[str], None]) -> None:
        try:
            self._watch(emit, say)
        except (MotionError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self.failure = reason if self._address.name in reason else f"{self._address.name}: {reason}"
        except Exception as error:  # the other cameras continue
            report_bug(self._address.name, error)
            self.failure = f"{self._address.name}: an error in this program: {error}"

    def _watch(self, emit: Callable[[Event], None], say: Callable[[str], None]) -> None:
        settings, clip = self._settings, self._model.experiment.clip
        options = LiveOptions(
            transport=settings.transport,
            timeout=settings.timeout,
            pictures=bool(self._model.heads),
            picture_interval=self._window / (2 * clip.frames),
            max_lag=_SKIP_LAGS * settings.max_lag if self._live else None,
            deferred=True,  # windows use a part of the pictures
            pause=_PAUSE,
            silence=self._window if self._live else None,
        )
        reader = self._reader = LiveReader(self._address, options, self._stop, say)
        joiner = EventJoiner(
            self._model.labels,
            self._calibration,
            window=self._window,
            stride=self._stride,
            threshold=settings.threshold,
            patience=math.inf if self._address.kind == "file" else MAX_UNDECIDED,
        )
        tells_time = self._address.kind != "file"
        scoring = self._scoring = _Scoring(self, reader, joiner, tells_time=tells_time)

        def give(events: Callable[[], list[Event]]) -> None:
            with self._lock:
                for event in [] if self._abandoned else events():
                    emit(event)

        def finish() -> list[Event]:
            # Who ends watching waits: no network is asked any more, only what was scored is given out.
            return scoring.finish(score_rest=not self._stop.is_set())

        try:
            for item in reader.items():
                give(partial(scoring.take, item))
        except (MotionError, OSError):  # what was seen before holds
            give(finish)
            raise
        give(finish)

    def abandon(self, emit: Callable[[Event], None], seconds: float) -> bool:
        """Give out what was scored, of a camera whose thread waits for its source; False if it is at work."""
        if not self._lock.acquire(timeout=seconds):
            return False
        try:
            self._abandoned = True
            if self._scoring is not None:
                for event in self._scoring.finish(score_rest=False):
                    emit(event)
        finally:
            self._lock.release()
        return True

    def admits(self, lag: float) -> bool:
        """Whether a window that is late by `lag` seconds is scored; it is counted either way."""
        late = self._live and lag > self._settings.max_lag
        counts = self._counts
        if late:
            self._counts = replace(counts, dropped=counts.dropped + 1, lag=lag)
        else:
            self._counts = replace(counts, windows=counts.windows + 1, lag=lag)
        return not late

    def count_rest(self) -> None:
        """Count what was scored after the last whole window."""
        self._counts = replace(self._counts, windows=self._counts.windows + 1)

    def reached(self, seconds: float) -> None:
        """Note how far reading is."""
        self._seconds = seconds

    def count_events(self, count: int) -> None:
        """Count events that were given out."""
        self._events += count

    def scorer(self, geometry: FrameGeometry, admit: Callable[[float, float], bool]) -> WindowScorer:
        """Windows over the camera's stream."""
        return WindowScorer(
            self._model, geometry, window=self._window, stride=self._stride, admit=admit, share=True
        )


class _Scoring:
    """Turns the items of a reader into events."""

    def __init__(self, camera: Camera, reader: LiveReader, joiner: EventJoiner, *, tells_time: bool) -> None:
        self._camera, self._reader, self._joiner = camera, reader, joiner
        self._tells_time = tells_time  # whether pictures come when they are recorded
        self._scorer: WindowScorer | None = None
        self._shown: tuple[Any, ...] = ()  # how pictures are shown
        self._waiting: list[LivePicture] = []  # before the first frame

    def take(self, item: Any) -> list[Event]:
        """Take a motion frame or a picture, or give out what a silent camera has shown."""
        if isinstance(item, Silence):
            return self.finish(score_rest=True)
        if isinstance(item, MotionFrame):
            return self._frame(item)
        if self._scorer is None:
            self._waiting = [*self._waiting[-1:], item]
        else:
            self._scorer.add_picture(item.seconds, item.rgb)
        return []

    def finish(self, *, score_rest: bool) -> list[Event]:
        """End the stream; `score_rest` scores what the last whole window left over."""
        segments = []
        for score in self._scorer.flush() if self._scorer is not None and score_rest else []:
            segments += self._joiner.add(score)
            self._camera.count_rest()
        return self._given(segments + self._joiner.finish())

    def _frame(self, frame: MotionFrame) -> list[Event]:
        seconds = frame.pts_seconds or 0.0
        scorer, segments = self._scorer_of(frame), []
        for score in scorer.push(frame, seconds):
            segments += self._joiner.add(score)
        self._camera.reached(seconds)
        return self._given(segments) if segments else []

    def _given(self, segments: list[Segment]) -> list[Event]:
        """The events of segments, counted."""
        events = self._events(segments)
        self._camera.count_events(len(events))
        return events

    def _scorer_of(self, frame: MotionFrame) -> WindowScorer:
        """The scorer, told of the pictures' size."""
        shown = (self._reader.size, frame.orientation, frame.sample_aspect_ratio)
        if self._scorer is not None and shown == self._shown:
            return self._scorer
        assert self._reader.size is not None
        self._shown = shown
        geometry = FrameGeometry(
            *self._reader.size, display=Display(frame.orientation, frame.sample_aspect_ratio)
        )
        if self._scorer is None:
            self._scorer = self._camera.scorer(geometry, self._admit)
            for picture in self._waiting:
                self._scorer.add_picture(picture.seconds, picture.rgb)
            self._waiting.clear()
        else:
            self._scorer.change_geometry(geometry)
        return self._scorer

    def _admit(self, start: float, end: float) -> bool:
        return self._camera.admits(self._reader.behind(time.monotonic()))

    def _events(self, segments: list[Segment]) -> list[Event]:
        now = time.monotonic()
        return [
            Event(
                self._camera.name,
                segment.start,
                segment.end,
                segment.label,
                segment.score,
                max(0.0, self._reader.lag.of(segment.end, now)),
                self._time_of(segment.start, time.time() - now),
            )
            for segment in segments
        ]

    def _time_of(self, seconds: float, epoch: float) -> str | None:
        """When a picture could have arrived first; `epoch` is the time of day at 0 of the steady clock."""
        shown = self._reader.lag.shown_at(seconds) if self._tells_time else None
        if shown is None:
            return None
        return datetime.fromtimestamp(epoch + shown, timezone.utc).isoformat(timespec="milliseconds")
