"""Watching several cameras until they end or the caller stops."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from mv_tools import ArgumentError
from mv_tools.live.address import Address

from ..results.calibration import Calibration
from ..timeline.model import WindowModel
from ..timeline.options import TimelineOptions
from .camera import Camera
from .events import Event
from .settings import WatchSettings
from .shared_model import SharedModel
from .sinks import Sink

__all__ = ["CalibratedModel", "Watch", "named_sources"]

_POLL: Final = 0.1  # seconds, after which Ctrl-C is noticed
_JOIN_SECONDS: Final = 2.0  # for all cameras together

Say = Callable[[str], None]


class CalibratedModel(WindowModel, Protocol):
    """A classifier with its calibration; :class:`moclip_lite.Classifier` is one."""

    @property
    def calibration(self) -> Calibration | None:
        """Of the run; None in folders of older runs."""


def named_sources(sources: Sequence[str]) -> list[tuple[str, Address]]:
    """Names and addresses of sources given as ``NAME=SOURCE`` or ``SOURCE``.

    A source without a name is named by its address, without user name, password and query;
    "#2" tells equal ones apart.

    Raises:
        ArgumentError: an address that is not allowed, a name given twice, or standard input given twice.
    """
    named: list[tuple[str, Address]] = []
    given = set()
    for source in sources:
        match = re.fullmatch(r"([\w.-]+)=(.+)", source, re.DOTALL)
        address = Address.parse(match[2] if match else source)
        name = match[1] if match else address.name
        if match and name in given:
            raise ArgumentError(f"two cameras are named {name!r}")
        taken, number = {other for other, _ in named}, 2
        unique = name
        while unique in taken:
            unique, number = f"{name}#{number}", number + 1
        given.add(unique)
        named.append((unique, address))
    if sum(address.kind == "stdin" for _, address in named) > 1:
        raise ArgumentError("standard input can be watched once only")
    return named


@dataclass
class Watch:
    """Cameras watched with one model.

    Args:
        cameras: see :meth:`of`.
        stop: ends watching.
    """

    cameras: list[Camera]
    stop: threading.Event

    @classmethod
    def of(cls, sources: Sequence[str], model: CalibratedModel, settings: WatchSettings) -> Watch:
        """Prepare cameras; nothing is opened.

        Raises:
            ArgumentError: see :func:`named_sources`; a stride longer than the window.
            CheckpointError: the length of windows is unknown.
        """
        calibration = model.calibration or Calibration()
        window, stride = TimelineOptions(window=settings.window, stride=settings.stride).lengths(calibration)
        settings = settings.model_copy(update={"window": window, "stride": stride})
        shared, stop = SharedModel(model), threading.Event()
        cameras = [
            Camera(name, address, shared, calibration, settings, stop)
            for name, address in named_sources(sources)
        ]
        return cls(cameras, stop)

    def run(self, sinks: Sequence[Sink], say: Say) -> list[str]:
        """Watch until all cameras ended or `stop` is set; ends the cameras whatever happens.

        Returns:
            Why cameras ended early, a sentence each.

        Raises:
            OSError: an event can't be written.
        """
        lock = threading.Lock()
        broken: list[OSError] = []
        ended = False

        def emit(event: Event) -> None:
            with lock:
                if ended or (self.stop.is_set() and broken):
                    return
                try:
                    for sink in sinks:
                        sink.put(event)
                except OSError as error:
                    broken.append(error)
                    self.stop.set()

        told: set[str] = set()
        try:
            for camera in self.cameras:
                camera.start(emit, say)
            while any(camera.alive for camera in self.cameras) and not self.stop.wait(_POLL):
                self._tell_failures(told, say)
        finally:
            self.stop.set()
            deadline = time.monotonic() + _JOIN_SECONDS
            for camera in self.cameras:
                camera.join(max(0.0, deadline - time.monotonic()))
            held = [camera for camera in self.cameras if camera.alive and not camera.abandon(emit, _POLL)]
            with lock:
                ended = True  # the caller closes the sinks
            for camera in held:
                if camera.alive:
                    say(
                        f"camera {camera.name} did not end in {_JOIN_SECONDS:g} s: "
                        "its last events are missing"
                    )
        if broken:
            raise broken[0]
        self._tell_failures(told, say)
        return [camera.failure for camera in self.cameras if camera.failure]

    def _tell_failures(self, told: set[str], say: Say) -> None:
        for camera in self.cameras:
            if camera.failure and camera.name not in told:
                told.add(camera.name)
                say(f"camera {camera.name} ended: {camera.failure}")

    def summary(self) -> list[str]:
        """A sentence on each camera."""
        return [_summary(camera) for camera in self.cameras]


def _summary(camera: Camera) -> str:
    counts = camera.statistics
    reading = counts.reading
    text = (
        f"{camera.name}: {counts.seconds:.1f} s, {counts.windows} windows, "
        f"{counts.events} events, {reading.connections} connections"
    )
    if counts.dropped:
        text += f", {counts.dropped} windows dropped because they were late"
    if reading.losses:
        text += f", data lost {reading.losses} times ({reading.skipped} pictures left out)"
    if reading.dropped:
        text += f", {reading.dropped} packets skipped because reading was behind"
    return text
