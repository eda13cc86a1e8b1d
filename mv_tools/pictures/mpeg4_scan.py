"""What the headers of an MPEG-4 Part 2 stream tell of its pictures: order of output, entries, distances."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from .mpeg4 import VOP_START_CODE, Mpeg4Packets

__all__ = ["Mpeg4Headers", "Mpeg4Scan"]

_LAYER: Final = re.compile(rb"\x00\x00\x01[\x20-\x2f]")
"""video_object_layer_start_code."""

_ENCODER: Final = re.compile(rb"\x00\x00\x01\xb2((?:DivX|XviD|Lavc|FFmpeg|ffmpeg)[\x20-\x7e]*)")
"""User data that name the encoder, whose faults decoders work around."""

_MAX_EARLY: Final = 600  # packets in which headers are looked for
_CERTAIN: Final = 50  # of which libavformat surely looks at so many

_TOLERANCE: Final = 0.1  # of a frame interval: times are rounded to ticks


@dataclass(frozen=True)
class Mpeg4Headers:
    """What the headers tell.

    Attributes:
        headers: that the first pictures are read with: the container's, else the first of the stream.
        order: (packet, whether an I picture) of each picture in the order of output; None where decoding
            alone tells.
        dependent: packets of I pictures that are decoded otherwise without the packets before.
        refusal: why motion can't be read; None where it can, as far as headers tell.
        distances: float64 [packets, 2], frame intervals from the picture that is decoded with a packet to
            its references before and after; 1 where there is none.
    """

    headers: bytes
    order: tuple[list[int], list[bool]] | None
    dependent: tuple[int, ...]
    refusal: str | None
    distances: npt.NDArray[np.float64] = field(compare=False)


class _Decoded(NamedTuple):
    """The picture that is decoded with a packet.

    Attributes:
        kind: its type; "" for none.
        layers: number of different layers so far.
        time: in seconds.
        reference_seconds: since the reference before, and until that after.
    """

    kind: str = ""
    layers: int = 0
    time: float | None = None
    reference_seconds: tuple[float, float] | None = None


class Mpeg4Scan:
    """Takes all packets of a stream.

    Args:
        headers: those that the container keeps.
    """

    def __init__(self, headers: bytes) -> None:
        self._headers, self._packets = headers, Mpeg4Packets(headers)
        self._has_layer = _LAYER.search(headers) is not None
        # Packets before the first headers of a recording.
        self._early: list[bytes] | None = None if self._has_layer else []
        self._decoded: list[_Decoded] = []
        self._dependent: list[int] = []
        self._encoders = set(_ENCODER.findall(headers))
        self._refusal: str | None = None
        self._doubtful = False

    def push(self, packet: bytes) -> None:
        """Take the next packet."""
        if self._early is None:
            self._take(packet)
            return
        self._early.append(packet)
        if _LAYER.search(packet) or len(self._early) == _MAX_EARLY:
            self._end_early()

    def _end_early(self) -> None:
        """Read the first packets with the headers that the last of them brings, as libavformat does."""
        early, self._early = self._early or [], None
        layer = _LAYER.search(early[-1]) if len(early) > 1 else None  # the first one brings its own
        if layer is not None:
            end = early[-1].find(VOP_START_CODE, layer.start())
            self._headers = early[-1][layer.start() : end if end >= 0 else None]
            self._packets, self._has_layer = Mpeg4Packets(self._headers), True
            self._doubtful = len(early) > _CERTAIN
        for packet in early:
            self._take(packet)

    def _take(self, packet: bytes) -> None:
        picture, reader = self._packets.push(packet), self._packets.reader
        if not self._decoded:
            self._refusal = reader.refusal
        kind = "" if picture is None or picture.repeats else picture.pict_type
        seconds = None if picture is None else picture.reference_seconds
        # libavcodec leaves out B pictures whose time is not between those of the others, and may leave out
        # others after a repeated picture.
        repeated = picture is not None and picture.repeats
        self._doubtful = self._doubtful or repeated or (kind == "B" and seconds is None)
        self._encoders.update(_ENCODER.findall(packet))
        if kind == "I" and self._depends(packet):
            self._dependent.append(len(self._decoded))
        time = None if picture is None else picture.time
        self._decoded.append(_Decoded(kind, reader.layers, time, seconds))

    def _depends(self, packet: bytes) -> bool:
        """Whether an I picture is decoded otherwise without the packets before."""
        needs_headers = self._packets.reader.layers > 1 or not self._has_layer
        return len(self._encoders) > 1 or (needs_headers and not _LAYER.search(packet))

    def finish(self) -> Mpeg4Headers:
        """What the packets tell."""
        if self._early:
            self._end_early()
        kinds = [picture.kind for picture in self._decoded]
        if "B" in kinds and self._packets.reader.low_delay:
            # libavcodec outputs I pictures before B pictures that precede them and refer to others.
            self._dependent += [number for number, kind in enumerate(kinds) if kind == "I" and number > 0]
        distances = np.ones((len(self._decoded), 2))
        for first, part in _parts(self._decoded):
            distances[first : first + len(part)] = _part_distances(part)
        return Mpeg4Headers(self._headers, self._order(), tuple(self._dependent), self._refusal, distances)

    def _order(self) -> tuple[list[int], list[bool]] | None:
        """None unless the stream begins and ends with a picture and, where it has B pictures, says so and has
        none before the second I or P picture."""
        kinds = [decoded.kind for decoded in self._decoded]
        if (
            self._doubtful
            or self._packets.doubtful
            or not kinds
            or kinds[0] != "I"
            or not kinds[-1]
            or "S" in kinds
        ):
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
        if last is not None and (each.layers != decoded[first].layers or each.time < last):
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
    usual = float(np.quantile(np.diff(times), 0.25, method="lower")) if len(times) > 1 else 1.0
    distances = np.ones((len(part), 2))
    for anchor, between in groups:
        count = len(between) + 1
        for rank, number in enumerate(between, start=1):
            if (apart := part[number].reference_seconds) is not None:
                intervals = _intervals(sum(apart) / usual, count, most)
                share = rank / count if intervals == count else apart[0] / sum(apart)
                before = float(np.clip(_snapped(intervals * share), 0.5, intervals - 0.5))
                distances[number] = before, intervals - before
        if anchor is not None and part[anchor].kind == "P":
            seconds = part[anchor].reference_seconds
            # Where the clock runs back, a picture that set it is lost.
            distances[anchor, 0] = most if seconds is None else _intervals(seconds[0] / usual, count, most)
    return distances


def _intervals(by_time: float, least: int, most: int) -> float:
    return float(min(max(round(by_time), least), most))


def _groups(part: Sequence[_Decoded]) -> Iterator[tuple[int | None, list[int]]]:
    """Each I or P picture, with the B pictures between it and the one before in the order of their times."""
    anchor: int | None = None
    between: list[int] = []
    for number, picture in enumerate(part):
        if picture.kind == "B":
            if (
                picture.reference_seconds is not None or picture.time is None
            ):  # libavcodec leaves out the others
                between.append(number)
        elif picture.kind:
            yield anchor, _by_time(part, between)
            anchor, between = number, []
    yield anchor, _by_time(part, between)


def _by_time(part: Sequence[_Decoded], numbers: list[int]) -> list[int]:
    times = {number: time for number in numbers if (time := part[number].time) is not None}
    return sorted(numbers, key=times.__getitem__) if len(times) == len(numbers) else numbers


def _snapped(count: float) -> float:
    return float(round(count)) if abs(count - round(count)) < _TOLERANCE else count
