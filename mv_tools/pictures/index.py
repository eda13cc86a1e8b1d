"""The pictures of a video stream, numbered as libavcodec puts them out.

Number i is the i-th picture that libavcodec, on one thread and from the first packet, puts out. See
`numbering` for how the numbers are found.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from .packets import NO_PTS, PacketIndex

__all__ = ["NO_TAG", "PictureIndex", "picture_index"]

NO_TAG: Final = -1
"""Packet number of a picture that the decoder made up, which belongs to no packet."""

_SAME_STEP: Final = 0.1  # of a step: durations are rounded


@dataclass(frozen=True)
class PictureIndex:
    """Pictures in presentation order.

    Attributes:
        packet: int64 [N], the packet (decoding order) that each picture comes from, of a frame coded
            as two fields the first one's; NO_TAG where there is none.
        entry: bool [N], whether decoding can start at the picture's packet.
        seconds: float64 [N], presentation times of the container; None if it has none.
        duration: seconds from the first picture to the end of the last one, or None.
        decoded: whether pictures were decoded for the numbering, all or some.
        corrupt: bool [N], whether libavcodec reports damage of the picture, as far as it was decoded.
        doubts: int64 [M] ascending, packets at or next to which data are damaged or missing. What a
            decoder puts in their place depends on all that it decoded before.
        head: whether the decoder has to see the first packet before it starts elsewhere: what tells it the
            encoder's quirks stands there alone.
        damaged: (packet, reason) where libavcodec refused a packet, if it was decoded.
    """

    packet: npt.NDArray[np.int64]
    entry: npt.NDArray[np.bool_]
    seconds: npt.NDArray[np.float64] | None
    duration: float | None
    decoded: bool
    corrupt: npt.NDArray[np.bool_]
    doubts: npt.NDArray[np.int64]
    head: bool = False
    damaged: tuple[tuple[int, str], ...] = ()

    def __len__(self) -> int:
        return len(self.packet)

    @cached_property
    def position_of(self) -> dict[int, int]:
        """Presentation index by packet, of packets that give one picture."""
        return {packet: i for i, packet in enumerate(self.packet.tolist()) if packet != NO_TAG}

    @cached_property
    def sequential(self) -> bool:
        """Whether pictures can only be told apart by counting from the start."""
        return len(self.position_of) < len(self)

    @cached_property
    def decode_rank(self) -> npt.NDArray[np.int64]:
        """Position of each picture among them all in decoding order, int64 [N]."""
        return np.argsort(np.argsort(self.packet, kind="stable"), kind="stable").astype(np.int64)

    @cached_property
    def settled(self) -> npt.NDArray[np.int64]:
        """The last picture, in presentation order, among each picture and those before it in decoding
        order, int64 [N]: once that one is put out, damage of what a picture refers to is known."""
        if self.sequential:
            return np.arange(len(self), dtype=np.int64)
        order = np.argsort(self.packet, kind="stable")
        settled = np.empty(len(self), np.int64)
        settled[order] = np.maximum.accumulate(order)
        return np.maximum.accumulate(settled)  # pictures are given in their order

    @property
    def reordered(self) -> bool:
        """Whether decoding and presentation order differ."""
        return bool((np.diff(self.packet) < 0).any())

    @cached_property
    def times(self) -> npt.NDArray[np.float64] | None:
        """Seconds of each picture, never falling: where two recordings are joined, the second goes on
        one picture behind the first."""
        if self.seconds is None or len(self) < 2:
            return self.seconds
        seconds = _without_outliers(self.seconds)
        steps = np.diff(seconds)
        usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
        return np.concatenate([seconds[:1], seconds[0] + np.cumsum(np.where(steps < 0, usual, steps))])

    @cached_property
    def entry_of(self) -> npt.NDArray[np.int64]:
        """The presentation index of the entry picture that decoding of each picture starts at, -1 for
        the first packet: the last entry that comes before it in both orders, int64 [N]. Behind damage
        it is -1 up to the next entry."""
        if self.sequential:
            return np.full(len(self), -1, np.int64)
        start = np.full(len(self), -1, np.int64)
        # Entries before a picture in presentation, those that a later one precedes in decoding dropped.
        candidates: list[int] = []
        packets: list[int] = []
        for i, (packet, entry) in enumerate(zip(self.packet.tolist(), self.entry.tolist(), strict=True)):
            if entry:
                while packets and packets[-1] >= packet:
                    packets.pop()
                    candidates.pop()
                packets.append(packet)
                candidates.append(i)
            place = bisect_left(packets, packet + 1)
            start[i] = candidates[place - 1] if place else -1
        first = np.where(start < 0, 0, self.packet[start])
        doubtful = np.searchsorted(self.doubts, self.packet, "right") > np.searchsorted(self.doubts, first)
        start[doubtful] = -1
        return start

    def first_packet(self, entry: int) -> int:
        """The packet at which decoding from an entry picture (or -1, the start) begins."""
        return 0 if entry < 0 else int(self.packet[entry])


def picture_index(
    packets: PacketIndex,
    packet: npt.NDArray[np.int64],
    entry: npt.NDArray[np.bool_],
    *,
    corrupt: npt.NDArray[np.bool_] | None = None,
    doubts: Iterable[int] = (),
    head: bool = False,
    damaged: tuple[tuple[int, str], ...] = (),
) -> PictureIndex:
    """Pictures whose packets are known, with the times of these; `corrupt` where they were decoded."""
    seconds, duration = _times(packet, packets)
    decoded = corrupt is not None
    corrupt = np.zeros(len(packet), bool) if corrupt is None else corrupt
    behind = [
        number + 1 for number in packets.damaged if number + 1 < len(packets)
    ]  # may have lost its start
    doubtful = {
        *doubts,
        *packets.damaged,
        *behind,
        *packet[corrupt].tolist(),
        *(number for number, _ in damaged),
    }
    places = np.array(sorted(doubtful - {NO_TAG}), np.int64)
    entry = entry & ~np.isin(packet, places)
    return PictureIndex(packet, entry, seconds, duration, decoded, corrupt, places, head, damaged)


def _times(
    packet: npt.NDArray[np.int64], packets: PacketIndex
) -> tuple[npt.NDArray[np.float64] | None, float | None]:
    """Seconds of each picture, and from the first one to the end of the last one.

    Containers without presentation times give those of decoding: there the i-th picture has the
    i-th time.
    """
    ticks = np.where(packet == NO_TAG, NO_PTS, packets.pts[packet])
    known = ticks != NO_PTS
    if not known.any() or packets.time_base <= 0:
        return None, None
    if not known.all():
        places = np.arange(len(ticks))
        step = _usual_step(ticks[known], packets)
        filled = np.interp(places, places[known], ticks[known])
        filled += step * (
            np.minimum(places - places[known][0], 0) + np.maximum(places - places[known][-1], 0)
        )
        ticks = np.round(filled).astype(np.int64)
    coded = packets.pts[np.sort(packet[packet != NO_TAG])]
    if (np.diff(ticks) <= 0).any() and _ascending(coded):
        ticks = np.sort(ticks)
    usual = _usual_step(ticks, packets)
    last = int(packets.duration[packet[-1]]) if packet[-1] != NO_TAG else 0
    if not _tells_durations(ticks, packet, packets):
        last = round(usual)
    seconds = ticks * packets.time_base
    steps = np.diff(_without_outliers(seconds))
    length = float(steps[steps > 0].sum()) + last * packets.time_base
    return seconds.astype(np.float64), length


def _tells_durations(
    ticks: npt.NDArray[np.int64], packet: npt.NDArray[np.int64], packets: PacketIndex
) -> bool:
    """Whether most packets last until the next picture: else they tell a default, a tick or half a frame."""
    steps = np.diff(ticks)
    told = packets.duration[packet[:-1]]
    agree = np.abs(told - steps) <= np.maximum(1, _SAME_STEP * steps)
    return bool(agree.mean() > 0.5) if len(agree) else bool(packets.duration[packet[-1]] > 0)


def _without_outliers(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Single time stamps out of line are replaced by the middle of their neighbours."""
    out = seconds.copy()
    for i in (np.nonzero(np.diff(seconds) < 0)[0] + 1).tolist():
        if i >= 2 and out[i] > out[i - 2]:  # the one before was too late
            out[i - 1] = (out[i - 2] + out[i]) / 2
        elif i + 1 < len(out) and out[i + 1] > out[i - 1]:
            out[i] = (out[i - 1] + out[i + 1]) / 2
    return out


def _ascending(ticks: npt.NDArray[np.int64]) -> bool:
    return len(ticks) > 0 and ticks[0] != NO_PTS and bool((np.diff(ticks) > 0).all())


def _usual_step(ticks: npt.NDArray[np.int64], packets: PacketIndex) -> float:
    """Ticks from one picture to the next: the median step, else by the rate that the file names."""
    steps = np.diff(ticks)
    if (steps > 0).any():
        return float(np.median(steps[steps > 0]))
    return float(1 / packets.stream.rate) / packets.time_base if packets.stream.rate else 0.0
