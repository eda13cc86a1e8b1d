"""Motion without decoding: the native parser of H.264 (rust/h264mv).

Pictures are parsed down to their vectors; no sample is reconstructed. Each vector comes with its
reference index and the reference's PicOrderCnt. Field pictures are pictures of their own.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import av.error
import numpy as np
import numpy.typing as npt

from ..demux import PacketIndex, VideoMetadata, read_metadata
from ..display import SQUARE, Display
from ..errors import MalformedStream
from ..motion import MotionFrame
from ..source import open_video
from ..syntax import PictureHeader, PictureStatistics, StreamParameters
from .base import Backend
from .kept_index import load_scan, save_scan
from .native_index import StreamScan, scan_stream
from .packet_reader import PacketReader

if TYPE_CHECKING:
    from .._h264mv import Picture, PictureInfo

__all__ = ["NativeBackend"]

_GROUP: Final = 16  # pictures parsed together, of those chosen
_AHEAD: Final = 4  # packets that go to the parser's threads at once


class NativeBackend(Backend):
    """H.264 through the native module."""

    name: ClassVar[str] = "native"

    @classmethod
    def why_unavailable(cls) -> str | None:
        if importlib.util.find_spec("mv_tools._h264mv") is None:
            return "the native module is not built; pip install moclip-lite (a Rust toolchain builds it)"
        return None

    @property
    def index(self) -> PacketIndex:
        return self.scan.packets

    @cached_property
    def scan(self) -> StreamScan:
        """Packets and the headers of their pictures: one pass over the file."""
        return scan_stream(self.source)

    def save_index(self, path: Path) -> None:
        save_scan(self.scan, self.source, path)

    def load_index(self, path: Path) -> None:
        self.scan = load_scan(path, self.source)

    @cached_property
    def metadata(self) -> VideoMetadata:
        first = self._infos[0]
        high = first.coded_height * (1 if first.structure == "frame" else 2)
        found = read_metadata(
            self.source,
            self.index,
            coded=(first.coded_width, high),
            entropy="cabac" if first.cabac else "cavlc",
        )
        values = {**vars(found), "num_frames": len(self)}
        values["display"] = self.display
        values["profile"] = found.profile or self.parameters.profile  # MP4 is opened without looking in
        if not self.index.timestamps:
            values["has_b_frames"] = any(info.pict_type == "B" for info in self._infos)
        return VideoMetadata(**values)

    @cached_property
    def display(self) -> Display:
        return self.index.stream.display.with_aspect(self._infos[0].sar)

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

    @cached_property
    def _infos(self) -> list[PictureInfo]:
        """Headers of all pictures, in decoding order."""
        return self.scan.headers.infos()

    @cached_property
    def _samples(self) -> list[int]:
        """Number of the packet of each picture, in decoding order."""
        return self.scan.headers.picture_samples()

    @cached_property
    def _positions(self) -> npt.NDArray[np.int64]:
        """Position in decoding order of each presented picture."""
        packets = self.scan.packets
        if not packets.timestamps:
            return np.array(self.scan.headers.presentation_order(), np.int64)
        samples = np.array(self._samples, np.int64)
        order = np.argsort(packets.pts[samples], kind="stable")  # both fields of a frame share a time
        return order[packets.shown[samples[order]]].astype(np.int64)

    @cached_property
    def _presented(self) -> dict[int, int]:
        """Presentation index by position in decoding order."""
        return {position: index for index, position in enumerate(self._positions.tolist())}

    @property
    def frame_count(self) -> int:
        infos = self._infos
        return len({infos[position].frame for position in self._positions})

    @property
    def headers(self) -> list[PictureHeader]:
        infos = (self._infos[position] for position in self._positions)
        return [
            PictureHeader(
                pict_type=info.pict_type,
                reference=info.reference,
                structure=info.structure,
                mbaff=info.mbaff,
                slices=info.slices,
                bits=info.nal_bits,
            )
            for info in infos
        ]

    @cached_property
    def coded_order(self) -> npt.NDArray[np.int64]:
        return np.argsort(np.argsort(self._positions, kind="stable"), kind="stable").astype(np.int64)

    @cached_property
    def times(self) -> npt.NDArray[np.float64] | None:
        packets = self.scan.packets
        if not packets.timestamps:
            return None
        ticks = packets.pts[np.array(self._samples, np.int64)[self._positions]]
        return np.asarray(ticks * packets.time_base, np.float64)

    @cached_property
    def _timeline(self) -> tuple[list[int], list[float] | None, int]:
        """Decoding index by presentation index; seconds by packet; PicOrderCnt per frame interval."""
        packets = self.scan.packets
        seconds = (packets.pts * packets.time_base).tolist() if packets.timestamps else None
        return self.coded_order.tolist(), seconds, self.scan.headers.poc_interval()

    @cached_property
    def _counted(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        keys = np.array([self._infos[position].keyframe for position in self._positions], bool)
        return self._positions, keys

    @cached_property
    def keyframes(self) -> list[int]:
        return [int(i) for i in np.nonzero(self._counted[1])[0]]

    @cached_property
    def _lost(self) -> list[tuple[int, str]]:
        """Packets whose pictures have no header that can be read, and why."""
        found = set(self._samples)
        shown = self.scan.packets.shown
        errors = dict(reversed(self.scan.headers.errors()))  # of several the first
        return sorted((n, why) for n, why in errors.items() if n < len(shown) and shown[n] and n not in found)

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
        waiting: dict[int, tuple[MotionFrame, Picture] | None] = {}
        upcoming = 0
        lost = self._lost[::-1]
        presented = self._presented
        for picture in self._parse_all(intra):
            info = picture.info
            while lost and lost[-1][0] < info.sample:
                self.report(None, lost.pop()[1])
            index = presented.get(info.decode_index)
            if index is None:  # an edit list says to decode but not to show it
                continue
            waiting[index] = self._usable(picture, info, index)
            while upcoming in waiting:
                ready = waiting.pop(upcoming)
                upcoming += 1
                if ready is not None:
                    yield ready
        for _, why in reversed(lost):
            self.report(None, why)
        if upcoming < len(self):
            self.report(upcoming, f"the stream ended after {upcoming} of {len(self)} pictures")

    def _usable(self, picture: Picture, info: PictureInfo, index: int) -> tuple[MotionFrame, Picture] | None:
        if picture.damage is not None:
            self.report(index, picture.damage)
            return None
        return self._frame(picture, info, index), picture

    def _parse_all(self, intra: bool) -> Iterator[Picture]:
        """All pictures in decoding order."""
        from .._h264mv import Decoder as Parser
        from .._h264mv import H264Error

        parser = Parser(threads=self.threads, intra=intra, **self.scan.framing)
        number = 0
        try:
            for samples in self._groups():
                yield from parser.push_many(samples, number)
                number += len(samples)
            yield from parser.finish()
        except H264Error as error:
            raise MalformedStream(f"{self.source.name}: {error}") from error
        if number < len(self.index.pts):
            self.report(None, f"the file is cut short inside picture {number} (decoding order)")

    def _groups(self) -> Iterator[list[bytes]]:
        """The packets in groups, up to one that is cut short."""
        kept, corrupt = self.scan.kept, self.scan.corrupt
        # Pictures are taken as soon as they are there: their arrays are used again while in the caches.
        size = 1 if self.threads == 1 else _AHEAD
        if kept is not None:
            end = len(kept) if corrupt is None else corrupt
            yield from (kept[i : min(i + size, end)] for i in range(0, end, size))
            return
        group: list[bytes] = []
        with open_video(self.source, packets_only=True) as (container, stream):
            try:
                for packet in container.demux(stream):
                    if packet.is_corrupt:
                        break
                    if packet.size:
                        group.append(bytes(packet))
                    if len(group) == size:
                        yield group
                        group = []
            except av.error.FFmpegError:
                pass  # told by the number of packets
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
        from .._h264mv import H264Error

        headers = self.scan.headers
        with PacketReader(self.source, self.scan) as reader:
            for start in range(0, len(indices), _GROUP):
                chosen = indices[start : start + _GROUP]
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
        decoded, seconds, interval = self._timeline
        display = self.display
        return MotionFrame.trusted(
            index=index,
            decode_index=decoded[index],
            pts_seconds=seconds[info.sample] if seconds is not None else None,
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
