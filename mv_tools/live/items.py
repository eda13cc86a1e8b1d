"""What reading of a live source takes and gives: options, items and counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ..decoder import Order
from ..motion import MotionFrame
from .address import Transport
from .keyframes import LivePicture

__all__ = ["LiveItem", "LiveOptions", "LiveStatistics", "Silence"]

LiveItem: TypeAlias = MotionFrame | LivePicture


@dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """How a live source is read.

    Attributes:
        transport: "tcp" or "udp", of RTP behind RTSP.
        timeout: seconds without an answer or data, after which a network source is reconnected, and a file or
            standard input ends.
        max_wait: longest time in seconds between attempts to reconnect.
        reconnect: whether a network source is reconnected.
        pictures: whether keyframes are decoded too.
        max_lag: seconds that reading may be behind what can be had; beyond, it skips to the next keyframe.
            None: never.
        picture_interval: seconds; keyframes sooner after the last one are not decoded.
        order: of frames, see :class:`~mv_tools.MotionStream`.
        deferred: whether motion is parsed when it is asked for, see :class:`~mv_tools.MotionStream`.
        pause: seconds to wait before the next packet where the last one had to be waited for: packets then
            come several at a time, which costs less CPU.
            Sources over UDP, whose packets would be lost, are read without.
        silence: seconds without a frame of a network source or device, after which :class:`Silence` is given.
    """

    transport: Transport = "tcp"
    timeout: float = 5.0
    max_wait: float = 30.0
    reconnect: bool = True
    pictures: bool = False
    max_lag: float | None = None
    picture_interval: float = 0.0
    order: Order = "presentation"
    deferred: bool = False
    pause: float = 0.0
    silence: float | None = None


class Silence:
    """Among the items: no frame came for a while, and what is known is not changed by one to come."""


@dataclass(frozen=True, kw_only=True)
class LiveStatistics:
    """Counts of a live source so far.

    Attributes:
        connections: made.
        frames: motion frames read.
        pictures: keyframes decoded.
        losses, skipped: see :class:`~mv_tools.StreamStatistics`.
        dropped: frames and pictures left out because the reader was behind.
    """

    connections: int = 0
    frames: int = 0
    pictures: int = 0
    losses: int = 0
    skipped: int = 0
    dropped: int = 0
