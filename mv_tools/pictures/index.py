"""The pictures of a video stream, numbered as libavcodec outputs them.

Number i is the i-th picture that libavcodec outputs on one thread from the first packet on; `numbering`
finds these numbers. An entry picture is a random access point: decoding can start at its packet.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .packets import NO_PACKET, PacketIndex
from .times import picture_times, without_outliers

__all__ = ["PictureIndex", "picture_index"]


@dataclass(frozen=True, kw_only=True)
class PictureIndex:
    """Pictures in presentation order.

    Attributes:
        packet: int64 [N], the packet (decoding order) of each picture, the first one for a frame coded as
            two fields; NO_PACKET where there is none.
        entry: bool [N], whether decoding can start at the picture's packet, those of `no_entry` aside.
        seconds: float64 [N], presentation times of the container; None if it has none.
        duration: seconds from the first picture to the end of the last one, or None.
        decoded: whether pictures were decoded for the numbering, all or some.
        corrupt: bool [N], whether libavcodec reports damage, False for pictures that were not decoded.
        damaged_packets: int64 [M] ascending, packets at or next to which data are damaged or missing. What
            a decoder outputs in their place depends on all that it decoded before.
        needs_first_packet: whether the decoder has to see the first packet before it starts elsewhere,
            because only that packet names the encoder whose faults it works around.
        packed: whether packets hold several pictures, some of which are decoded with later ones.
        no_entry: packets at which decoding can't start, although `entry` is set.
        pict_types: a letter of each picture, "?" where unknown; "" where they were not all decoded.
        refused: (packet, reason) where libavcodec refused a packet, if it was decoded.
    """

    packet: npt.NDArray[np.int64]
    entry: npt.NDArray[np.bool_]
    seconds: npt.NDArray[np.float64] | None
    duration: float | None
    decoded: bool
    corrupt: npt.NDArray[np.bool_]
    damaged_packets: npt.NDArray[np.int64]
    needs_first_packet: bool = False
    packed: bool = False
    no_entry: tuple[int, ...] = ()
    pict_types: str = ""
    refused: tuple[tuple[int, str], ...] = ()

    def __len__(self) -> int:
        return len(self.packet)

    @cached_property
    def position_of(self) -> dict[int, int]:
        """Presentation index by packet, for packets with one picture."""
        return {packet: i for i, packet in enumerate(self.packet.tolist()) if packet != NO_PACKET}

    @cached_property
    def sequential(self) -> bool:
        """Whether pictures can be identified only by counting from the start."""
        return len(self.position_of) < len(self)

    @cached_property
    def _order(self) -> npt.NDArray[np.int64]:
        """Presentation indices in decoding order; pictures without a packet follow their predecessor in
        presentation order."""
        last_known = np.maximum.accumulate(np.where(self.packet == NO_PACKET, -1, np.arange(len(self))))
        packet = np.where(last_known < 0, NO_PACKET, self.packet[last_known])
        return np.argsort(packet, kind="stable").astype(np.int64)

    @cached_property
    def decode_rank(self) -> npt.NDArray[np.int64]:
        """Position of each picture in decoding order, int64 [N]."""
        rank = np.empty(len(self), np.int64)
        rank[self._order] = np.arange(len(self))
        return rank

    @cached_property
    def final_after(self) -> npt.NDArray[np.int64]:
        """The last picture in presentation order among each picture and those decoded before it, int64 [N].

        Once that one is output, damage in the pictures that this one refers to is known.
        """
        if self.sequential:
            return np.arange(len(self), dtype=np.int64)
        last = np.empty(len(self), np.int64)
        last[self._order] = np.maximum.accumulate(self._order)
        return np.maximum.accumulate(last)  # pictures are output in presentation order

    @property
    def reordered(self) -> bool:
        """Whether decoding and presentation order differ."""
        return bool((np.diff(self.decode_rank) < 0).any())

    @cached_property
    def times(self) -> npt.NDArray[np.float64] | None:
        """Seconds of each picture, never decreasing: where recordings are joined, the second continues one
        picture behind the first."""
        if self.seconds is None or len(self) < 2:
            return self.seconds
        seconds = without_outliers(self.seconds)
        steps = np.diff(seconds)
        usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
        return np.concatenate([seconds[:1], seconds[0] + np.cumsum(np.where(steps < 0, usual, steps))])

    @cached_property
    def entry_of(self) -> npt.NDArray[np.int64]:
        """The entry picture that decoding of each picture starts at, int64 [N]; -1 for the first packet.

        It is the last entry picture that precedes the picture in both orders. Behind damage it is -1 up to
        the next entry picture.
        """
        if self.sequential:
            return np.full(len(self), -1, np.int64)
        start = np.full(len(self), -1, np.int64)
        # Entry pictures so far and their packets, without those that a later one precedes in decoding order.
        entries: list[int] = []
        packets: list[int] = []
        usable = self.entry & ~np.isin(self.packet, self.no_entry)
        for i, (packet, entry) in enumerate(zip(self.packet.tolist(), usable.tolist(), strict=True)):
            if entry:
                while packets and packets[-1] >= packet:
                    packets.pop()
                    entries.pop()
                packets.append(packet)
                entries.append(i)
            preceding = bisect_left(packets, packet + 1)
            start[i] = entries[preceding - 1] if preceding else -1
        first = np.where(start < 0, 0, self.packet[start])
        damage_between = np.searchsorted(self.damaged_packets, self.packet, "right")
        damage_between -= np.searchsorted(self.damaged_packets, first)
        start[damage_between > 0] = -1
        return start

    def first_packet(self, entry: int) -> int:
        """The packet at which decoding from an entry picture (-1: the start of the file) begins."""
        return 0 if entry < 0 else int(self.packet[entry])


def picture_index(
    packets: PacketIndex,
    packet: npt.NDArray[np.int64],
    entry: npt.NDArray[np.bool_],
    *,
    corrupt: npt.NDArray[np.bool_] | None = None,
    damaged_packets: Iterable[int] = (),
    needs_first_packet: bool = False,
    refused: tuple[tuple[int, str], ...] = (),
) -> PictureIndex:
    """Add times and known damage to pictures whose packets are known.

    Args:
        packets: all packets.
        packet, entry: see :class:`PictureIndex`.
        corrupt: see :class:`PictureIndex`; None if nothing was decoded.
        damaged_packets: known from headers; packets that are corrupt or refused are added.
        needs_first_packet, refused: see :class:`PictureIndex`.
    """
    seconds, duration = picture_times(packet, packets)
    decoded = corrupt is not None
    corrupt = np.zeros(len(packet), bool) if corrupt is None else corrupt
    damaged = {*damaged_packets, *packets.corrupt_packets, *packet[corrupt].tolist()}
    damaged |= {number + 1 for number in packets.corrupt_packets if number + 1 < len(packets)}  # its start
    damaged |= {number for number, _ in refused}
    numbers = np.array(sorted(damaged - {NO_PACKET}), np.int64)
    return PictureIndex(
        packet=packet,
        entry=entry & ~np.isin(packet, numbers),
        seconds=seconds,
        duration=duration,
        decoded=decoded,
        corrupt=corrupt,
        damaged_packets=numbers,
        needs_first_packet=needs_first_packet,
        refused=refused,
    )
