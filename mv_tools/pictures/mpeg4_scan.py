"""What the headers of an MPEG-4 Part 2 stream tell of its pictures: order of output, entries, distances."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from .mpeg4 import Mpeg4Packets
from .packet_rules import VOP_START_CODE

__all__ = ["Mpeg4Headers", "Mpeg4Scan"]

_LAYER: Final = re.compile(rb"\x00\x00\x01[\x20-\x2f]")
"""video_object_layer_start_code."""

_MAX_EARLY: Final = 600  # packets in which headers are looked for

_ROUNDED: Final = 0.1  # of a frame interval: times are rounded to ticks


@dataclass(frozen=True)
class Mpeg4Headers:
    """What the headers tell.

    Attributes:
        headers: that the first pictures are read with: the container's, else the first of the stream.
        order: (packet, whether an I picture) of each picture in the order of output; None where decoding
            alone tells.
        packed: packets that hold several pictures, which are decoded with later ones.
        barred: packets of I pictures at which decoding can't start: the headers in force there came with an
            earlier packet.
        distances: float64 [packets, 2], frame intervals from the picture that is decoded with a packet to
            its references before and after; 1 where there is none.
    """

    headers: bytes
    order: tuple[list[int], list[bool]] | None
    packed: tuple[int, ...]
    barred: tuple[int, ...]
    distances: npt.NDArray[np.float64] = field(compare=False)


class _Decoded(NamedTuple):
    """The picture that is decoded with a packet; "" for none.

    Times are seconds from the start, `apart` the times since the reference before and until that after.
    """

    kind: str = ""
    layer: int = 0
    time: float | None = None
    apart: tuple[float, float] | None = None


class Mpeg4Scan:
    """Takes all packets of a stream.

    Args:
        headers: those that the container keeps.
    """

    def __init__(self, headers: bytes) -> None:
        self._decoded: list[_Decoded] = []
        self._packed: list[int] = []
        self._barred: list[int] = []
        self._early: list[bytes] | None = []  # packets before the first headers of a recording
        self._start(headers)

    def _start(self, headers: bytes) -> None:
        self._headers, self._packets = headers, Mpeg4Packets(headers)
        if _LAYER.search(headers):
            early, self._early = self._early or [], None
            for packet in early:
                self._take(packet)

    def push(self, packet: bytes) -> None:
        """Take the next packet."""
        if self._early is None:
            self._take(packet)
            return
        self._early.append(packet)
        if _LAYER.search(packet) or len(self._early) == _MAX_EARLY:
            self._end_early(packet)

    def _end_early(self, packet: bytes) -> None:
        """Read the packets so far with the headers of this one, as libavformat finds them."""
        early, layer = self._early or [], _LAYER.search(packet)
        if len(early) > 1 and layer is not None:
            end = packet.find(VOP_START_CODE, layer.start())
            self._start(packet[layer.start() : end if end >= 0 else len(packet)])
        if self._early is not None:  # the first packet brings its own headers, or there are none
            self._early = None
            for each in early:
                self._take(each)

    def _take(self, packet: bytes) -> None:
        picture, reader = self._packets.push(packet), self._packets.reader
        if self._packets.several:
            self._packed.append(len(self._decoded))
        if picture is None or picture.repeats:
            # After a repeated picture libavcodec may leave others out.
            self._packets.doubtful = self._packets.doubtful or picture is not None
            self._decoded.append(_Decoded())
            return
        kind, apart = picture.pict_type, picture.distances
        if kind == "B" and apart is None:  # libavcodec leaves it out
            self._packets.doubtful = True
        depends = reader.layers > 1 or not _LAYER.search(self._headers)
        if kind == "I" and depends and not _LAYER.search(packet):
            self._barred.append(len(self._decoded))
        self._decoded.append(_Decoded(kind, reader.layers, picture.time, apart))

    def finish(self) -> Mpeg4Headers:
        """What the packets tell."""
        if self._early:
            self._end_early(b"")
        distances = np.ones((len(self._decoded), 2))
        for first, part in _parts(self._decoded):
            distances[first : first + len(part)] = _part_distances(part)
        return Mpeg4Headers(self._headers, self._order(), tuple(self._packed), tuple(self._barred), distances)

    def _order(self) -> tuple[list[int], list[bool]] | None:
        """None unless the stream begins and ends with a picture and, where it has B pictures, says so and has
        none before the second I or P picture."""
        kinds = [decoded.kind for decoded in self._decoded]
        if self._packets.doubtful or not kinds or kinds[0] != "I" or not kinds[-1] or "S" in kinds:
            return None
        if "B" in kinds and self._packets.reader.low_delay is not False:
            return None
        shown: list[int] = []
        held, anchors = 0, 0
        for number, kind in enumerate(kinds):
            if kind == "B":
                if anchors < 2:
                    return None
                shown.append(number)
            elif kind:  # an I or P picture is output when the next one is decoded
                shown += [held] if anchors else []
                held, anchors = number, anchors + 1
        shown.append(held)
        return shown, [kinds[number] == "I" for number in shown]


def _parts(decoded: Sequence[_Decoded]) -> Iterator[tuple[int, Sequence[_Decoded]]]:
    """Stretches of one clock, each with the number of its first packet: joined recordings begin anew."""
    first, last = 0, None
    for number, each in enumerate(decoded):
        if each.kind in ("", "B") or each.time is None:
            continue
        if last is not None and (each.layer != decoded[first].layer or each.time < last):
            yield first, decoded[first:number]
            first = number
        last = each.time
    yield first, decoded[first:]


def _part_distances(part: Sequence[_Decoded]) -> npt.NDArray[np.float64]:
    """Frame intervals [len(part), 2] to the references.

    As many as there are pictures in between, and more where the times tell that some are missing, but never
    more than the encoder puts between two I or P pictures: a longer time is a pause.
    """
    groups = list(_groups(part))
    most = max((len(between) for _, between in groups), default=0) + 1
    times = sorted({each.time for each in part if each.time is not None})
    usual = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    distances = np.ones((len(part), 2))
    for anchor, between in groups:
        count = len(between) + 1
        for rank, number in enumerate(between, start=1):
            if (apart := part[number].apart) is not None:
                intervals = _intervals(sum(apart) / usual, count, most)
                share = rank / count if intervals == count else apart[0] / sum(apart)
                before = float(np.clip(_rounded(intervals * share), 0.5, intervals - 0.5))
                distances[number] = before, intervals - before
        if anchor is not None and part[anchor].kind == "P" and (apart := part[anchor].apart) is not None:
            distances[anchor, 0] = _intervals(apart[0] / usual, count, most)
    return distances


def _intervals(by_time: float, least: int, most: int) -> float:
    return float(min(max(round(by_time), least), most))


def _groups(part: Sequence[_Decoded]) -> Iterator[tuple[int | None, list[int]]]:
    """Each I or P picture, with the B pictures between it and the one before in the order of their times."""
    anchor: int | None = None
    between: list[int] = []
    for number, each in enumerate(part):
        if each.kind == "B":
            between.append(number)
        elif each.kind:
            yield anchor, sorted(between, key=lambda number: part[number].time or 0.0)
            anchor, between = number, []
    yield anchor, sorted(between, key=lambda number: part[number].time or 0.0)


def _rounded(count: float) -> float:
    return float(round(count)) if abs(count - round(count)) < _ROUNDED else count
