"""Relation between parsed and presented pictures.

The parser counts pictures in decoding order; presented pictures follow the numbering of the file, in which
the two fields of a frame are two pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from ...pictures.index import PictureIndex
from ...pictures.scan import StreamScan
from .frames import FrameBuilder

if TYPE_CHECKING:
    from ..._native import PictureInfo, StreamIndex

__all__ = ["UNREADABLE", "PresentedPictures"]

UNREADABLE: Final = -1
"""Position of a picture whose slice headers can't be read."""


@dataclass(frozen=True)
class PresentedPictures:
    """Presented pictures of an H.264 stream.

    Attributes:
        index: headers of the stream.
        scan: the file that was scanned.
        pictures: the numbering of the frames.
    """

    index: StreamIndex
    scan: StreamScan
    pictures: PictureIndex

    @cached_property
    def lock(self) -> AbstractContextManager[object]:
        """Nothing has to be locked: headers are complete."""
        return nullcontext()

    @cached_property
    def builder(self) -> FrameBuilder:
        """Makes motion frames."""
        seconds, interval = self.pictures.seconds, self.index.poc_interval()
        return FrameBuilder(self.decode_rank, self.frame_of, seconds, interval, self.scan.display)

    def positions(self, indices: Sequence[int]) -> list[int]:
        """Positions in decoding order of presented pictures that can be read."""
        return list(map(int, self.position[list(indices)]))

    @property
    def infos(self) -> list[PictureInfo]:
        """Headers of all pictures in decoding order."""
        return self.scan.infos

    @cached_property
    def _table(self) -> npt.NDArray[np.int64]:
        """[N, 2]: position in decoding order (or UNREADABLE) and frame of each presented picture."""
        packet = self.pictures.packet
        if self.scan.one_frame_each and (packet >= 0).all():
            position_of = np.full(len(self.scan.packets), UNREADABLE, np.int64)
            position_of[self.scan.columns["sample"]] = np.arange(len(self.index))
            return np.stack([position_of[packet], np.arange(len(packet))], axis=1)
        pictures_of: dict[int, list[int]] = {}
        for position, info in enumerate(self.infos):
            pictures_of.setdefault(info.frame, []).append(position)
        in_packet: dict[int, list[int]] = {}
        for positions in pictures_of.values():
            positions.sort(key=lambda position: self.infos[position].order_poc)
            in_packet.setdefault(min(self.infos[position].sample for position in positions), positions)
        rows = [
            (position, frame)
            for frame, packet in enumerate(self.pictures.packet.tolist())
            for position in in_packet.get(packet, [UNREADABLE])
        ]
        return np.array(rows, np.int64).reshape(-1, 2)

    @property
    def position(self) -> npt.NDArray[np.int64]:
        """Position in decoding order of each presented picture, or UNREADABLE, int64 [N]."""
        return self._table[:, 0]

    @property
    def frame_of(self) -> npt.NDArray[np.int64]:
        """The frame that each presented picture belongs to, int64 [N]."""
        return self._table[:, 1]

    @cached_property
    def index_of(self) -> dict[int, int]:
        """Presentation index by position in decoding order."""
        return {position: i for i, position in enumerate(self.position.tolist()) if position != UNREADABLE}

    @cached_property
    def decode_rank(self) -> npt.NDArray[np.int64]:
        """Position of each presented picture among them all in decoding order, int64 [N]."""
        order = np.lexsort((self.position, self.pictures.decode_rank[self.frame_of]))
        return np.argsort(order, kind="stable").astype(np.int64)

    @cached_property
    def infos_presented(self) -> list[PictureInfo | None]:
        """Headers in presentation order; None for pictures whose headers can't be read."""
        return [None if i == UNREADABLE else self.infos[i] for i in self.position.tolist()]

    @cached_property
    def unreadable(self) -> dict[int, str]:
        """Pictures that libavcodec outputs although their slice headers can't be read, and why."""
        errors = self._errors()
        indices = np.flatnonzero(self.position == UNREADABLE)
        packets = self.pictures.packet[self.frame_of[indices]].tolist()
        return {
            i: errors.get(packet, f"no slice header of picture {packet} (decoding order) can be read")
            for i, packet in zip(indices.tolist(), packets, strict=True)
        }

    @cached_property
    def lost(self) -> list[tuple[int, str]]:
        """Packets behind the first picture that give no picture because of damage, and why."""
        presented = self.pictures.position_of
        first = min(presented, default=0)
        errors = self._errors() | dict(self.pictures.refused)
        parsed = set(self.scan.columns["sample"].tolist()) if errors else set()
        return sorted(
            (packet, reason)
            for packet, reason in errors.items()
            if packet > first and packet not in presented and packet not in parsed
        )

    def _errors(self) -> dict[int, str]:
        """The first error of each packet that the parser could not make part of a picture."""
        return dict(reversed(self.index.errors()))
