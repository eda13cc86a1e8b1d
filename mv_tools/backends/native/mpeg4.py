"""Motion of MPEG-4 Part 2 (XviD, DivX) without decoding: rust/mpeg4mv.

A file whose pictures the decoder numbers otherwise than its packets tell, or with a feature that is not
supported, is left to the next backend.
"""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar, Final

from ...display import SQUARE
from ...errors import MalformedStream, UnsupportedStream
from ...motion import MotionFrame
from ...pictures.mpeg4 import Mpeg4Packets
from ...pictures.mpeg4_scan import Mpeg4Headers
from ...pictures.native_headers import native_problem
from ...pictures.packets import NO_PACKET
from ...pictures.reader import Stretch, stretches
from ..base import Backend, OtherBackend
from .packet_reader import PacketReader

if TYPE_CHECKING:
    from ..._native import Mpeg4Picture

__all__ = ["Mpeg4Backend"]

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
        super().open()
        if self._read.refusal is not None:
            raise OtherBackend(f"{self.source.name}: {self._read.refusal}", expected=False)

    def save_index(self, path: Path) -> None:
        from .saved_index import save_scan  # which says that it saves none of this codec

        save_scan(self.scan, self.pictures, self.source, path)

    @property
    def _read(self) -> Mpeg4Headers:
        """What the headers tell."""
        assert self.scan.mpeg4 is not None
        return self.scan.mpeg4

    def frames(self) -> Iterator[MotionFrame]:
        yield from self.frames_at(range(len(self)))

    def frames_at(self, indices: Sequence[int]) -> Iterator[MotionFrame]:
        # Where pictures are packed, what a packet holds is decoded with a later one: from the first one on.
        packed = self.pictures.packed and len(indices) > 0
        parts = [Stretch(-1, list(indices))] if packed else stretches(self.pictures, indices)
        with PacketReader(self.source, self.scan) as reader:
            for stretch in parts:
                for index, number, picture in self._coded(reader, stretch):
                    frame = self._frame(index, number, picture)
                    if frame is not None:
                        yield frame

    def _coded(
        self, reader: PacketReader, stretch: Stretch
    ) -> Iterator[tuple[int, int, Mpeg4Picture | None]]:
        """(index, number of its packet, picture) of a stretch in presentation order; None for what is not in
        its packet."""
        pictures, upcoming, wanted = self.pictures, deque(stretch.positions), set(stretch.positions)
        last = int(pictures.packet[stretch.positions].max())
        packets = Mpeg4Packets(self._read.headers)
        waiting: dict[int, tuple[int, Mpeg4Picture | None]] = {
            index: (0, None) for index in wanted if pictures.packet[index] == NO_PACKET
        }
        held: tuple[int, Mpeg4Picture] | None = None  # an I or P picture that has no number of its own
        for number in range(pictures.first_packet(stretch.entry), last + 1):
            picture = packets.push(reader.read([number])[number])
            index = pictures.position_of.get(number, -1)
            if picture is not None and not picture.repeats and picture.pict_type != "B":
                held = (number, picture) if index < 0 else None
            if index in wanted:
                # A last packet without a picture lends its number to the one that the decoder held back.
                waiting[index] = held if held and picture and picture.repeats else (number, picture)
            while upcoming and upcoming[0] in waiting:
                yield upcoming[0], *waiting.pop(upcoming.popleft())
        for index in upcoming:
            yield index, *waiting.get(index, (0, None))

    def _frame(self, index: int, number: int, picture: Mpeg4Picture | None) -> MotionFrame | None:
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
        past, future = self._read.distances[number]
        return MotionFrame(
            index=index,
            decode_index=int(self.decode_rank[index]),
            pts_seconds=None if seconds is None else float(seconds[index]),
            pict_type="P" if picture.pict_type == "S" else picture.pict_type,
            is_keyframe=picture.pict_type == "I",
            mv=mv,
            ref_idx=ref_idx,
            assumed_distance=(float(past), float(future)),
            orientation=display.orientation,
            sample_aspect_ratio=display.sample_aspect_ratio or SQUARE,
        )

    def _is_another(self, index: int, picture: Mpeg4Picture) -> bool:
        """Whether the decoder, if it was asked, gave a picture of another type."""
        decoded = self.pictures.pict_types
        return bool(decoded) and decoded[index] not in (picture.pict_type, "?")


def _native() -> ModuleType:
    """The native module, which need not be there."""
    return importlib.import_module("mv_tools._native")
