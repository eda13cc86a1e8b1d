"""Presentation times of numbered pictures, from the times of their packets."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from .packets import NO_PACKET, NO_PTS, PacketIndex

__all__ = ["picture_times", "without_outliers"]

_SAME_STEP: Final = 0.1  # share of a step by which durations may be rounded


def picture_times(
    packet: npt.NDArray[np.int64], packets: PacketIndex
) -> tuple[npt.NDArray[np.float64] | None, float | None]:
    """Times of pictures in presentation order.

    Containers without presentation times give those of decoding:
    there the i-th picture has the i-th time.

    Args:
        packet: int64 [N], the packet of each picture or NO_PACKET.
        packets: all packets.

    Returns:
        (seconds, duration): float64 [N], and seconds from the first picture to the end of the last one;
        (None, None) if no packet has a time.
    """
    ticks = np.where(packet == NO_PACKET, NO_PTS, packets.pts[packet])
    known = ticks != NO_PTS
    if not known.any() or packets.time_base <= 0:
        return None, None
    if not known.all():
        ticks = _interpolated(ticks, known, packets)
    coded = packets.pts[np.sort(packet[packet != NO_PACKET])]
    if (np.diff(ticks) <= 0).any() and _ascending(coded):
        ticks = np.sort(ticks)
    last = int(packets.duration[packet[-1]]) if packet[-1] != NO_PACKET else 0
    if not _has_durations(ticks, packet, packets):
        last = round(_usual_step(ticks, packets))
    seconds = (ticks * packets.time_base).astype(np.float64)
    steps = np.diff(without_outliers(seconds))
    joins = int((steps < 0).sum()) * _usual_step(ticks, packets)  # files that were joined begin again
    return seconds, float(steps[steps > 0].sum()) + (last + joins) * packets.time_base


def without_outliers(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Replace single time stamps that are out of order by the mean of their neighbours."""
    times = seconds.copy()
    for i in (np.flatnonzero(np.diff(seconds) < 0) + 1).tolist():
        if i >= 2 and times[i] > times[i - 2]:  # the one before was too late
            times[i - 1] = (times[i - 2] + times[i]) / 2
        elif i + 1 < len(times) and times[i + 1] > times[i - 1]:
            times[i] = (times[i - 1] + times[i + 1]) / 2
    return times


def _interpolated(
    ticks: npt.NDArray[np.int64], known: npt.NDArray[np.bool_], packets: PacketIndex
) -> npt.NDArray[np.int64]:
    """Fill unknown times between known ones; before the first and behind the last in usual steps."""
    places = np.arange(len(ticks))
    filled = np.interp(places, places[known], ticks[known])
    beyond = np.minimum(places - places[known][0], 0) + np.maximum(places - places[known][-1], 0)
    filled += _usual_step(ticks[known], packets) * beyond
    return np.round(filled).astype(np.int64)


def _has_durations(ticks: npt.NDArray[np.int64], packet: npt.NDArray[np.int64], packets: PacketIndex) -> bool:
    """Whether most packets last until the next picture; otherwise the container stores a default."""
    steps = np.diff(ticks)
    durations = packets.duration[packet[:-1]]
    agree = np.abs(durations - steps) <= np.maximum(1, _SAME_STEP * steps)
    return bool(agree.mean() > 0.5) if len(agree) else bool(packets.duration[packet[-1]] > 0)


def _ascending(ticks: npt.NDArray[np.int64]) -> bool:
    return len(ticks) > 0 and ticks[0] != NO_PTS and bool((np.diff(ticks) > 0).all())


def _usual_step(ticks: npt.NDArray[np.int64], packets: PacketIndex) -> float:
    """Ticks from one picture to the next: the median step, else by the container's frame rate."""
    steps = np.diff(ticks)
    if (steps > 0).any():
        return float(np.median(steps[steps > 0]))
    return float(1 / packets.stream.rate) / packets.time_base if packets.stream.rate else 0.0
