"""Motion of MPEG-4 Part 2 (XviD, DivX) without decoding: rust/mpeg4mv.

A file whose pictures the decoder numbers otherwise than its packets tell, or with a feature that is not
supported, is left to the next backend.
"""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from ...display import SQUARE
from ...errors import MalformedStream, UnsupportedStream
from ...motion import MotionFrame
from ...pictures.mpeg4 import Mpeg4Packets
from ...pictures.native_headers import native_problem
from ...pictures.reader import Stretch, stretches
from ..base import Backend, OtherBackend
from .packet_reader import PacketReader

if TYPE_CHECKING:
    from ..._native import Mpeg4Picture

__all__ = ["Mpeg4Backend"]

_TIMED_PACKETS: Final = 64  # whose times show the usual interval between pictures
_ROUNDED: Final = 0.1

_ADVICE: Final = "re-encode it first: moclip mv transcode SRC DST"


class Mpeg4Backend(Backend):
    """MPEG-4 Part 2 through the native module."""

    name: ClassVar[str] = "native"

    @classmethod
    def why_unavailable(cls) -> str | None:
        return native_problem()

    @classmethod
    def reads(cls, codec: str) -> bool:
        return codec == "mpeg4"

    def open(self) -> None:
        name, codec = self.source.name, self.index.stream.codec
        if not self.reads(codec):
            raise OtherBackend(f"{name}: this is {codec!r}", expected=True)
        super().open()
        if self.pictures.sequential:
            raise OtherBackend(f"{name}: its packets do not tell where its pictures are", expected=False)
        reader = _native().Mpeg4Reader(self._headers)
        with PacketReader(self.source, self.scan) as packets:
            for number in range(int(self.pictures.packet.min()) + 1):  # a recording may begin without headers
                reader.push(packets.read([number])[number])
        try:
            reader.check()
        except _native().NativeError as error:
            raise OtherBackend(f"{name}: {error}", expected=False) from error

    def save_index(self, path: Path) -> None:
        raise UnsupportedStream(f"{self.source.name}: an index is saved of H.264 and HEVC only")

    @property
    def _headers(self) -> bytes:
        return self.scan.framing["extradata"] or b""

    def frames(self) -> Iterator[MotionFrame]:
        yield from self.frames_at(range(len(self)))

    def frames_at(self, indices: Sequence[int]) -> Iterator[MotionFrame]:
        with PacketReader(self.source, self.scan) as reader:
            for stretch in stretches(self.pictures, indices):
                for index, picture in self._coded(reader, stretch):
                    frame = self._frame(index, picture)
                    if frame is not None:
                        yield frame

    def _coded(self, reader: PacketReader, stretch: Stretch) -> Iterator[tuple[int, Mpeg4Picture | None]]:
        """Coded pictures of a stretch in presentation order; None where there is none in its packet."""
        pictures, upcoming, wanted = self.pictures, deque(stretch.positions), set(stretch.positions)
        # Where pictures are packed, what a packet holds is decoded with a later one.
        first = 0 if pictures.packed else pictures.first_packet(stretch.entry)
        last = int(pictures.packet[stretch.positions].max())
        packets = Mpeg4Packets(self._headers)
        waiting: dict[int, Mpeg4Picture | None] = {}
        held: Mpeg4Picture | None = None  # an I or P picture that has no number of its own
        for number in range(first, last + 1):
            picture = packets.push(reader.read([number])[number])
            index = pictures.position_of.get(number, -1)
            if picture is not None and not picture.repeats and picture.pict_type != "B":
                held = picture if index < 0 else None
            if index in wanted:
                # A last packet without a picture lends its number to the one that the decoder held back.
                waiting[index] = held if held is not None and picture and picture.repeats else picture
            while upcoming and upcoming[0] in waiting:
                yield upcoming[0], waiting.pop(upcoming.popleft())

    def _frame(self, index: int, picture: Mpeg4Picture | None) -> MotionFrame | None:
        """A picture as a frame; None if it is damaged, which is reported."""
        seconds, display = self.pictures.seconds, self.display
        where = f"picture {index}"
        if picture is None or self._is_another(index, picture):
            self.report(index, f"{where} was not found in its packet")
            return None
        if self.index.corrupt[self.pictures.packet[index]] or self.pictures.corrupt[index]:
            self.report(index, f"{where} is damaged")
            return None
        try:
            mv, ref_idx = picture.motion()
        except _native().UnsupportedError as error:
            self.report(index, f"{where}: {error}; {_ADVICE}", UnsupportedStream)
            return None
        except _native().NativeError as error:
            self.report(index, f"{where}: {error}", MalformedStream)
            return None
        return MotionFrame(
            index=index,
            decode_index=int(self.decode_rank[index]),
            pts_seconds=None if seconds is None else float(seconds[index]),
            pict_type="P" if picture.pict_type == "S" else picture.pict_type,
            is_keyframe=picture.pict_type == "I",
            mv=mv,
            ref_idx=ref_idx,
            assumed_distance=self._distances(picture),
            orientation=display.orientation,
            sample_aspect_ratio=display.sample_aspect_ratio or SQUARE,
        )

    def _is_another(self, index: int, picture: Mpeg4Picture) -> bool:
        """Whether the decoder, if it was asked, gave a picture of another type."""
        decoded = self.pictures.pict_types
        return bool(decoded) and decoded[index] not in (picture.pict_type, "?")

    def _distances(self, picture: Mpeg4Picture) -> tuple[float, float]:
        """Frame intervals to the picture before and the one after, by their times in the stream."""
        if picture.pict_type == "I" or picture.distances is None or self._interval is None:
            return 1.0, 1.0
        past, future = (_intervals(seconds / self._interval) for seconds in picture.distances)
        return past, future or 1.0

    @cached_property
    def _interval(self) -> float | None:
        """Seconds between consecutive pictures: the usual step of the first ones; None if there is none."""
        first = int(self.pictures.packet.min())
        packets = _native().Mpeg4Reader(self._headers)
        with PacketReader(self.source, self.scan) as reader:
            numbers = range(first, min(first + _TIMED_PACKETS, len(self.index)))
            coded = [picture for data in reader.read(numbers).values() for picture in packets.push(data)]
        times = {picture.time for picture in coded if not picture.repeats and picture.time is not None}
        return float(np.median(np.diff(sorted(times)))) if len(times) > 1 else None


def _intervals(count: float) -> float:
    """A number of frame intervals, whole where times are but rounded."""
    return float(round(count)) if abs(count - round(count)) < _ROUNDED else count


def _native() -> ModuleType:
    """The native module, which need not be there."""
    return importlib.import_module("mv_tools._native")
