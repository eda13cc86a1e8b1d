"""Presentation times of numbered pictures, from the times of their packets."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from .packets import NO_PACKET, NO_PTS, PacketIndex

__all__ = ["ASSUMED_RATE", "picture_times", "untimed", "without_outliers"]

ASSUMED_RATE: Final = 25
"""Pictures per second of a file without times and rate, as libavformat assumes for raw streams."""

_MAX_MOVED: Final = 4  # places by which a reordered picture may stand beside its own
_SAME_STEP: Final = 0.1  # share of a step by which durations may be rounded


def untimed(packet: npt.NDArray[np.int64], packets: PacketIndex) -> npt.NDArray[np.bool_]:
    """Which pictures have no time stamp, bool [N]; `packet` as in :func:`picture_times`."""
    return np.asarray((packet == NO_PACKET) | (packets.pts[packet] == NO_PTS), bool)


def picture_times(
    packet: npt.NDArray[np.int64], packets: PacketIndex
) -> tuple[npt.NDArray[np.float64] | None, float | None]:
    """Times of pictures in presentation order.

    Containers without presentation times give those of decoding: there the i-th picture has the i-th time. So
    it has where libavformat guessed the times of reordered pictures (AVI) and they are in a wrong order.
    Pictures without a time get one from their packets' durations and their neighbours; :func:`untimed` tells
    which.

    Args:
        packet: int64 [N], the packet of each picture or NO_PACKET.
        packets: all packets.

    Returns:
        (seconds, duration): float64 [N], and seconds from the first picture to the end of the last one;
        (None, None) if no packet has a time.
    """
    known = ~untimed(packet, packets)
    if not known.any() or packets.time_base <= 0:
        return None, None
    ticks = packets.pts[packet]
    if not known.all():
        ticks = _filled(ticks, known, packet, packets)
    coded = packets.pts[np.sort(packet[packet != NO_PACKET])]
    if (np.diff(ticks) <= 0).any() and (_ascending(coded) or _is_permuted(ticks)):
        ticks = np.sort(ticks)
    last = int(packets.duration[packet[-1]]) if packet[-1] != NO_PACKET else 0
    told = known[1:] & known[:-1]  # steps between two times of the file
    usual = _usual_step(np.diff(ticks)[told] if told.any() else np.diff(ticks), packets)
    if not _has_durations(ticks, told, packet, packets):
        last = round(usual)
    seconds = (ticks * packets.time_base).astype(np.float64)
    steps = np.diff(without_outliers(seconds))
    joins = int((steps < 0).sum()) * usual  # files that were joined begin again
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


def _filled(
    ticks: npt.NDArray[np.int64],
    known: npt.NDArray[np.bool_],
    packet: npt.NDArray[np.int64],
    packets: PacketIndex,
) -> npt.NDArray[np.int64]:
    """Fill unknown times: those before the first known one, those behind the last, and those between two."""
    places = np.flatnonzero(known)
    first, last = int(places[0]), int(places[-1])
    steps = np.diff(ticks[places]) / np.diff(places)  # ticks a picture, from each known time to the next
    usual = _usual_step(steps, packets)
    lengths = np.where(packet == NO_PACKET, 0, packets.duration[packet]).astype(np.float64)
    filled = ticks.astype(np.float64)
    before, behind = (float(steps[end]) if len(steps) and steps[end] > 0 else usual for end in (0, -1))
    leading = np.where(lengths[:first] > 0, lengths[:first], before)
    filled[:first] = ticks[first] - np.cumsum(leading[::-1])[::-1]
    trailing = np.where(lengths[last:-1] > 0, lengths[last:-1], behind)
    filled[last + 1 :] = ticks[last] + np.cumsum(trailing)
    for gap in np.flatnonzero(np.diff(places) > 1).tolist():
        start, stop = int(places[gap]), int(places[gap + 1])
        filled[start:stop] = ticks[start] + _shares(lengths[start:stop]) * (ticks[stop] - ticks[start])
    return np.round(filled).astype(np.int64)


def _shares(lengths: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Where pictures of these lengths begin in their time, from 0 to 1; evenly if one length is unknown."""
    if (lengths <= 0).any():
        lengths = np.ones_like(lengths)
    return np.asarray(np.concatenate([[0.0], np.cumsum(lengths[:-1])]) / lengths.sum(), np.float64)


def _has_durations(
    ticks: npt.NDArray[np.int64],
    told: npt.NDArray[np.bool_],
    packet: npt.NDArray[np.int64],
    packets: PacketIndex,
) -> bool:
    """Whether most packets last until the next picture; otherwise the container stores a default."""
    steps = np.diff(ticks)[told]
    durations = packets.duration[packet[:-1]][told]
    agree = np.abs(durations - steps) <= np.maximum(1, _SAME_STEP * steps)
    return bool(agree.mean() > 0.5) if len(agree) else bool(packets.duration[packet[-1]] > 0)


def _is_permuted(ticks: npt.NDArray[np.int64]) -> bool:
    """Whether times are whole steps apart but for their order, and none is far from its place."""
    if len(ticks) < 2:
        return False
    order = np.argsort(ticks, kind="stable")
    steps = np.diff(ticks[order])
    near = np.abs(order - np.arange(len(order))) <= _MAX_MOVED
    counts = steps / max(float(np.median(steps)), 1.0)
    whole = np.abs(counts - np.round(counts)) <= _SAME_STEP
    return bool(near.all() and whole.all() and (steps > 0).all())


def _ascending(ticks: npt.NDArray[np.int64]) -> bool:
    return len(ticks) > 0 and ticks[0] != NO_PTS and bool((np.diff(ticks) > 0).all())


def _usual_step(steps: npt.NDArray[np.int64] | npt.NDArray[np.float64], packets: PacketIndex) -> float:
    """Ticks from one picture to the next: the median step, else by the container's frame rate."""
    if (steps > 0).any():
        return float(np.median(steps[steps > 0]))
    return float(1 / packets.stream.rate) / packets.time_base if packets.stream.rate else 0.0
