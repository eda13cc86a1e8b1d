"""Motion without decoding: the native parser of H.264 (rust/h264mv).

Pictures are parsed down to their vectors; no sample is reconstructed. Each vector comes with its
reference index and the reference's PicOrderCnt. Field pictures are pictures of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from ...display import SQUARE
from ...errors import MalformedStream
from ...metadata import VideoMetadata, read_metadata
from ...motion import MotionFrame
from ...pictures.packets import PacketIndex, read_packets
from ...pictures.scan import native_available
from ...source import open_video
from ...stream_info import PictureHeader, PictureStatistics, StreamParameters
from ..base import Backend, OtherBackend
from .packet_reader import PacketReader
from .saved_index import load_scan, save_scan

if TYPE_CHECKING:
    from ..._h264mv import Picture, PictureInfo, StreamIndex

__all__ = ["NativeBackend"]

_GROUP: Final = 16  # pictures parsed together, of those chosen
_AHEAD: Final = 4  # packets that go to the parser's threads at once
_UNREAD: Final = -1  # position of a picture whose slice headers can't be read


class NativeBackend(Backend):
    """H.264 through the native module."""

    name: ClassVar[str] = "native"

    @classmethod
    def why_unavailable(cls) -> str | None:
        if not native_available():
            return "the native module is not built; pip install moclip-lite (a Rust toolchain builds it)"
        return None

    @property
    def index(self) -> PacketIndex:
        self._headers  # noqa: B018  # another codec is refused here
        return self.scan.packets

    @cached_property
    def _headers(self) -> StreamIndex:
        """Headers of all pictures.

        Raises:
            OtherBackend: not H.264, or it uses a feature that is not parsed, or no header can be read.
            MalformedStream: no picture can be decoded.
        """
        scan, name = self.scan, self.source.name
        if scan.headers is not None:
            return scan.headers
        codec = scan.packets.stream.codec
        if codec != "h264":
            raise OtherBackend(
                f"{name}: the native backend reads H.264, this is {codec!r}; use backend='libav' or 'auto'",
                expected=True,
            )
        if scan.unsupported is not None:
            raise OtherBackend(f"{name}: {scan.unsupported}", expected=False)
        _ = self.pictures  # says what is wrong where libavcodec can't read it either
        raise OtherBackend(f"{name}: {scan.malformed}", expected=False)

    def save_index(self, path: Path) -> None:
        save_scan(self.scan, self.pictures, self.source, path)

    def load_index(self, path: Path) -> None:
        self.scan, self.pictures = load_scan(path, self.source)

    @cached_property
    def metadata(self) -> VideoMetadata:
        first = self._infos[0]
        high = first.coded_height * (1 if first.structure == "frame" else 2)
        found = read_metadata(
            self.source,
            self.index,
            self.pictures,
            self.display,
            coded=(first.coded_width, high),
            entropy="cabac" if first.cabac else "cavlc",
        )
        values = {**vars(found), "num_frames": len(self)}
        values["profile"] = found.profile or self.parameters.profile  # MP4 is opened without looking in
        return VideoMetadata(**values)

    @property
    def parameters(self) -> StreamParameters:
        first = self._infos[0]
        return StreamParameters(
            profile_idc=first.profile_idc,
            profile=first.profile,
            level=first.level,
            num_ref_frames=first.num_ref_frames,
            entropy_coding="cabac" if first.cabac else "cavlc",
        )

    @property
    def _infos(self) -> list[PictureInfo]:
        """Headers of all pictures, in decoding order."""
        _ = self._headers  # refuses a stream without them
        return self.scan.infos

    @cached_property
    def _numbered(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Position in decoding order (or _UNREAD) and frame of each presented picture."""
        infos = self._infos
        parts: dict[int, list[int]] = {}
        for position, info in enumerate(infos):
            parts.setdefault(info.frame, []).append(position)
        frames: dict[int, list[int]] = {}
        for positions in parts.values():
            positions.sort(key=lambda position: infos[position].order_poc)
            frames.setdefault(min(infos[position].sample for position in positions), positions)
        numbered = [
            (position, frame)
            for frame, packet in enumerate(self.pictures.packet.tolist())
            for position in frames.get(packet, [_UNREAD])
        ]
        table = np.array(numbered, np.int64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    @property
    def _positions(self) -> npt.NDArray[np.int64]:
        return self._numbered[0]

    @property
    def frame_of(self) -> npt.NDArray[np.int64]:
        return self._numbered[1]

    @cached_property
    def _presented(self) -> dict[int, int]:
        """Presentation index by position in decoding order."""
        return {position: i for i, position in enumerate(self._positions.tolist()) if position != _UNREAD}

    @property
    def headers(self) -> list[PictureHeader | None]:
        known = self._infos
        infos = (None if position == _UNREAD else known[position] for position in self._positions)
        return [None if info is None else _header(info) for info in infos]

    @cached_property
    def coded_order(self) -> npt.NDArray[np.int64]:
        packets = self.pictures.packet[self.frame_of]
        order = np.lexsort((self._positions, packets))
        return np.argsort(order, kind="stable").astype(np.int64)

    @cached_property
    def _timeline(self) -> tuple[list[int], list[int], list[float] | None, int]:
        """Decoding index and frame by presentation index; seconds by frame; PicOrderCnt per frame interval."""
        seconds = self.pictures.seconds
        times = None if seconds is None else seconds.tolist()
        return self.coded_order.tolist(), self.frame_of.tolist(), times, self._headers.poc_interval()

    @cached_property
    def keyframes(self) -> list[int]:
        infos = self._infos
        return [
            i
            for i, position in enumerate(self._positions.tolist())
            if position != _UNREAD and infos[position].keyframe
        ]

    @cached_property
    def _lost(self) -> list[tuple[int, str]]:
        """Packets behind the first picture that give none because of damage, and why."""
        first, presented = int(self.pictures.packet.min()), self.pictures.position_of
        errors = dict(reversed(self._headers.errors()))  # of several the first
        errors |= dict(self.pictures.damaged)
        samples = {info.sample for info in self._infos}
        return sorted(
            (packet, why)
            for packet, why in errors.items()
            if packet > first and packet not in presented and packet not in samples
        )

    def frames(self) -> Iterator[MotionFrame]:
        for frame, _ in self._pictures(intra=False):
            yield frame

    def described(
        self, indices: Sequence[int] | None = None
    ) -> Iterator[tuple[MotionFrame, PictureStatistics]]:
        found = self._pictures(intra=True) if indices is None else self._pictures_at(indices, intra=True)
        for frame, picture in found:
            yield frame, PictureStatistics(**picture.statistics())

    def _pictures(self, *, intra: bool) -> Iterator[tuple[MotionFrame, Picture]]:
        """All pictures in presentation order, as frames and as the parser gives them.

        Args:
            intra: read slice data of I pictures as well, which say nothing of motion.
        """
        waiting: dict[int, tuple[MotionFrame, Picture] | None] = dict.fromkeys(self._unread)
        upcoming = 0
        lost = self._lost[::-1]
        presented = self._presented
        for picture in self._parse_all(intra):
            info = picture.info
            while lost and lost[-1][0] < info.sample:
                self.report(None, lost.pop()[1])
            index = presented.get(info.decode_index)
            if index is None:  # the decoder does not put it out
                continue
            waiting[index] = self._usable(picture, info, index)
            while upcoming in waiting:
                ready = waiting.pop(upcoming)
                if upcoming in self._unread:
                    self.report(upcoming, self._unread[upcoming])
                upcoming += 1
                if ready is not None:
                    yield ready
        for _, why in reversed(lost):
            self.report(None, why)
        for index in range(upcoming, len(self)):
            self.report(index, self._unread.get(index, f"picture {index} could not be read"))

    @cached_property
    def _unread(self) -> dict[int, str]:
        """Pictures that libavcodec puts out although their slice headers can't be read, and why."""
        errors = dict(reversed(self._headers.errors()))
        unread = np.nonzero(self._positions == _UNREAD)[0].tolist()
        packets = self.pictures.packet[self.frame_of[unread]].tolist()
        return {
            i: errors.get(packet, f"no slice header of picture {packet} (decoding order) can be read")
            for i, packet in zip(unread, packets, strict=True)
        }

    def _usable(self, picture: Picture, info: PictureInfo, index: int) -> tuple[MotionFrame, Picture] | None:
        packets = self.index
        if packets.cut is not None and packets.corrupt[info.sample] and info.sample == len(packets) - 1:
            self.report(index, packets.cut)
            return None
        if picture.damage is not None:
            self.report(index, picture.damage)
            return None
        if picture.lost_reference:
            self.guessed[index] = None
        return self._frame(picture, info, index), picture

    def _parse_all(self, intra: bool) -> Iterator[Picture]:
        """All pictures in decoding order."""
        from ..._h264mv import Decoder as Parser
        from ..._h264mv import H264Error

        parser = Parser(threads=self.threads, intra=intra, **self.scan.framing)
        number = 0
        try:
            for samples in self._groups():
                yield from parser.push_many(samples, number)
                number += len(samples)
            yield from parser.finish()
        except H264Error as error:
            raise MalformedStream(f"{self.source.name}: {error}") from error

    def _groups(self) -> Iterator[list[bytes]]:
        """The packets in groups."""
        kept = self.scan.kept
        # Pictures are taken as soon as they are there: their arrays are used again while in the caches.
        size = 1 if self.threads == 1 else _AHEAD
        if kept is not None:
            yield from (kept[i : i + size] for i in range(0, len(kept), size))
            return
        with open_video(self.source, packets_only=True) as (container, stream):
            packets = read_packets(container, stream)
            while group := [bytes(packet) for packet in islice(packets, size)]:
                yield group

    def frames_at(self, indices: Sequence[int]) -> Iterator[MotionFrame]:
        for frame, _ in self._pictures_at(indices, intra=False):
            yield frame

    def _pictures_at(self, indices: Sequence[int], *, intra: bool) -> Iterator[tuple[MotionFrame, Picture]]:
        """Chosen pictures in presentation order, as frames and as the parser gives them."""
        if 2 * len(indices) > len(self):  # most of the file: one pass in order
            wanted = set(indices)
            for frame, picture in self._pictures(intra=intra):
                if frame.index in wanted:
                    yield frame, picture
                if frame.index == indices[-1]:
                    return
            return
        yield from self._parse_chosen(list(indices), intra)

    def _parse_chosen(self, indices: list[int], intra: bool) -> Iterator[tuple[MotionFrame, Picture]]:
        """Parse groups of pictures, reading the file from front to back."""
        from ..._h264mv import H264Error

        headers = self._headers
        with PacketReader(self.source, self.scan) as reader:
            for start in range(0, len(indices), _GROUP):
                chosen = indices[start : start + _GROUP]
                for index in self._unread.keys() & set(chosen):
                    self.report(index, self._unread[index])
                    chosen.remove(index)
                positions = self._positions[chosen].tolist()
                samples = reader.read(sorted(headers.samples(positions, intra=intra)))
                try:
                    pictures = headers.parse(positions, samples, threads=self.threads, intra=intra)
                except H264Error as error:
                    raise MalformedStream(f"{self.source.name}: {error}") from error
                for index, picture in zip(chosen, pictures, strict=True):
                    usable = self._usable(picture, picture.info, index)
                    if usable is not None:
                        yield usable

    def _frame(self, picture: Picture, info: PictureInfo, index: int) -> MotionFrame:
        decoded, frame_of, seconds, interval = self._timeline
        frame, display = frame_of[index], self.display
        return MotionFrame.trusted(
            index=index,
            decode_index=decoded[index],
            frame_index=frame,
            pts_seconds=seconds[frame] if seconds is not None else None,
            pict_type=info.pict_type,
            is_keyframe=info.keyframe,
            structure=info.structure,
            poc=info.poc,
            poc_interval=interval,
            orientation=display.orientation,
            sample_aspect_ratio=display.sample_aspect_ratio or SQUARE,
            **_interlaced(picture, info),
            mv=picture.mv,
            ref_idx=picture.ref_idx,
            ref_poc=picture.ref_poc,
        )


def _header(info: PictureInfo) -> PictureHeader:
    return PictureHeader(
        pict_type=info.pict_type,
        reference=info.reference,
        structure=info.structure,
        mbaff=info.mbaff,
        slices=info.slices,
        bits=info.nal_bits,
    )


def _interlaced(picture: Picture, info: PictureInfo) -> dict[str, Any]:
    """What only pictures with fields have, for :class:`MotionFrame`."""
    if info.structure != "frame":
        return {"other_parity": picture.other_parity}
    mask = picture.field_mask
    if mask is None:
        return {}
    blocks = mask.repeat(4, axis=0).repeat(4, axis=1)
    blocks.setflags(write=False)
    return {"field_blocks": blocks, "field_poc": info.field_poc}
