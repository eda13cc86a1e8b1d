"""Options of timelines: windows, threshold, frames; the type of progress callbacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from mv_tools import ArgumentError

from ..errors import CheckpointError
from ..results.calibration import Calibration
from .segments import SWITCH_PENALTY

__all__ = ["STRIDE", "TimelineFrames", "TimelineOptions", "TimelineProgress", "silent"]

STRIDE: Final = 0.25
"""Distance of windows as a share of their length."""

LEAST_STRIDE: Final = 0.002
"""Seconds; times closer than half of it are one."""

TimelineProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with (stage, windows done, windows to do), such as ``Reporter.progress``."""

TimelineFrames: TypeAlias = Literal["keyframes", "clip"]
"""Which frames the appearance encoder sees, see :class:`TimelineOptions`."""


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
        frames: "keyframes": where a window's frames by ``clip.positions=reachable`` are not all keyframes,
            its keyframes stand in for them, several times faster with keyframes seconds apart.
            "clip": those of `predict`.

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
        if self.stride is not None and not LEAST_STRIDE <= self.stride < float("inf"):
            raise ArgumentError(f"stride must be {LEAST_STRIDE:g} seconds or more, got {self.stride:g}")
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
                "the run does not tell how long its training clips are; "
                "give the length of windows in seconds with --window"
            )
        stride = self.stride or STRIDE * window
        if stride > window:
            raise ArgumentError(f"a stride of {stride:g} s is longer than the windows of {window:g} s")
        return window, stride
