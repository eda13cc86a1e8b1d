"""How cameras are watched."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..settings import Settings

__all__ = ["WatchSettings"]


class WatchSettings(Settings):
    """How cameras are watched.

    Attributes:
        window: seconds of a window; None for the median length of the run's training clips.
        stride: seconds between windows; None for a quarter of the window.
        threshold: calibrated probability below which a window is none; None for the run's calibration.
        max_lag: seconds that a window may be late: later ones are dropped; at twice as much, reading skips to
            the next keyframe.
        transport: of RTP behind RTSP.
        timeout: seconds without data after which a camera is connected again, and a file ends.
    """

    window: float | None = Field(default=None, gt=0, le=86_400)
    stride: float | None = Field(default=None, gt=0, le=86_400)
    threshold: float | None = Field(default=None, ge=0, le=1)
    max_lag: float = Field(default=2.0, gt=0, le=86_400)
    transport: Literal["tcp", "udp"] = "tcp"
    timeout: float = Field(default=5.0, gt=0, le=86_400)
