"""Motion without decoding: the native parser of H.264 (rust/h264mv).

Pictures are parsed down to their vectors; no sample is reconstructed. Each vector comes with its
reference index and the reference's PicOrderCnt. Field pictures are pictures of their own.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Final, TypedDict

import av.error
import numpy as np
import numpy.typing as npt
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from ..demux import PacketIndex, VideoMetadata, read_metadata, scan_packets
from ..errors import MalformedStream
from ..motion import MotionFrame
from ..source import open_video
from ..syntax import PictureHeader, PictureStatistics, StreamParameters
from .base import Backend, OtherBackend

if TYPE_CHECKING:
    from .._h264mv import Decoder, Picture, PictureInfo, StreamIndex

__all__ = ["NativeBackend"]

_GROUP: Final = 16  # pictures parsed together


class _Framing(TypedDict):
    length_size: int
    extradata: bytes | None


class NativeBackend(Backend):
    """H.264 through the native module."""

    name: ClassVar[str] = "native"

    @classmethod
    def why_unavailable(cls) -> str | None:
        if importlib.util.find_spec("mv_tools._h264mv") is None:
            return "the native module is not built; pip install moclip-lite (a Rust toolchain builds it)"
        return None

    @cached_property
    def index(self) -> PacketIndex:
        return self._scanned[0]

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
        values["profile"] = found.profile or self.parameters.profile  # MP4 is opened without looking in
        if not self.index.timestamps:
            values["has_b_frames"] = any(info.pict_type == "B" for info in self._infos)
        return VideoMetadata(**values)

    @cached_property
    def _scanned(self) -> tuple[PacketIndex, StreamIndex]:
        """One pass over the file: packets and the headers of their pictures."""
        from .._h264mv import H264Error, UnsupportedError
        from .._h264mv import StreamIndex as Headers

        parsers: list[StreamIndex] = []

        def visit(packet: Packet[VideoStream], number: int) -> None:
            if not parsers:
                parsers.append(Headers(**_framing(packet.stream.codec_context, self.source.name)))
            parsers[0].push(bytes(packet), number)

        try:
            packets = scan_packets(self.source, visit)
        except UnsupportedError as error:
            raise OtherBackend(f"{self.source.name}: {error}", expected=False) from error
        except H264Error as error:
            raise MalformedStream(f"{self.source.name}: {error}") from error
        headers = parsers[0]  # a file without packets is refused
        if not len(headers):
            why = headers.first_error or "the video stream holds no picture"
            raise MalformedStream(f"{self.source.name}: {why}")
        return packets, headers

    @cached_property
    def _infos(self) -> list[PictureInfo]:
        """Headers of all pictures, in decoding order."""
        headers = self._scanned[1]
        return [headers.info(position) for position in range(len(headers))]

    @cached_property
    def _positions(self) -> npt.NDArray[np.int64]:
        """Position in decoding order of each presented picture."""
        packets, headers = self._scanned
        if not packets.timestamps:
            return np.array(headers.presentation_order(), np.int64)
        samples = np.array([info.sample for info in self._infos], np.int64)
        order = np.argsort(packets.pts[samples], kind="stable")  # both fields of a frame share a time
        return order[packets.shown[samples[order]]].astype(np.int64)

    @cached_property
    def _presented(self) -> dict[int, int]:
        """Presentation index by position in decoding order."""
        return {int(position): index for index, position in enumerate(self._positions)}

    @property
    def frame_count(self) -> int:
        return len({self._infos[position].frame for position in self._positions})

    @cached_property
    def coded_order(self) -> npt.NDArray[np.int64]:
        return np.argsort(np.argsort(self._positions, kind="stable"), kind="stable").astype(np.int64)

    @cached_property
    def _counted(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        keys = np.array([self._infos[position].keyframe for position in self._positions], bool)
        return self._positions, keys

    @cached_property
    def keyframes(self) -> list[int]:
        return [int(i) for i in np.nonzero(self._counted[1])[0]]

    @cached_property
    def _poc_interval(self) -> int:
        """PicOrderCnt from one frame to the next: the most common step."""
        frames: dict[tuple[int, int], int] = {}
        for info in self._infos:
            key = (info.period, info.frame)
            frames[key] = min(info.order_poc, frames.get(key, info.order_poc))
        steps: Counter[int] = Counter()
        ordered = sorted((period, poc) for (period, _), poc in frames.items())
        for (a, before), (b, after) in pairwise(ordered):
            if a == b and after > before:
                steps[after - before] += 1
        return max(steps, key=lambda step: (steps[step], -step), default=2)

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

    def frames(self) -> Iterator[MotionFrame]:
        for frame, _ in self._pictures():
            yield frame

    def described(
        self, indices: Sequence[int] | None = None
    ) -> Iterator[tuple[MotionFrame, PictureStatistics]]:
        for frame, picture in self._pictures() if indices is None else self._pictures_at(indices):
            yield frame, PictureStatistics(**picture.statistics())

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

    def _pictures(self) -> Iterator[tuple[MotionFrame, Picture]]:
        """All pictures in presentation order, as frames and as the parser gives them."""
        waiting: dict[int, tuple[MotionFrame, Picture]] = {}
        upcoming = 0
        for picture in self._parse_all():
            index = self._presented.get(picture.info.decode_index)
            if index is None:  # an edit list says to decode but not to show it
                continue
            waiting[index] = self._frame(picture, index), picture
            while upcoming in waiting:
                yield waiting.pop(upcoming)
                upcoming += 1
        if upcoming < len(self):
            raise MalformedStream(
                f"{self.source.name}: the stream ended after {upcoming} of {len(self)} pictures"
            )

    def _parse_all(self) -> Iterator[Picture]:
        """All pictures in decoding order."""
        from .._h264mv import Decoder as Parser
        from .._h264mv import H264Error

        with open_video(self.source, packets_only=True) as (container, stream):
            parser = Parser(threads=self.threads, **_framing(stream.codec_context, self.source.name))
            samples: list[bytes] = []
            number = 0
            try:
                for packet in container.demux(stream):
                    if not packet.size:
                        continue
                    if packet.is_corrupt:
                        yield from self._flush(parser, samples, number)
                        raise MalformedStream(self._cut(number + len(samples)))
                    samples.append(bytes(packet))
                    if len(samples) == _GROUP:
                        yield from parser.push_many(samples, number)
                        number += len(samples)
                        samples = []
                yield from self._flush(parser, samples, number)
            except H264Error as error:
                raise MalformedStream(f"{self.source.name}: {error}") from error
            except av.error.FFmpegError as error:
                raise MalformedStream(self._cut(number)) from error

    @staticmethod
    def _flush(parser: Decoder, samples: list[bytes], number: int) -> Iterator[Picture]:
        yield from parser.push_many(samples, number)
        yield from parser.finish()

    def _cut(self, number: int) -> str:
        return f"{self.source.name}: the file is cut short inside picture {number} (decoding order)"

    def frames_at(self, indices: Sequence[int]) -> Iterator[MotionFrame]:
        for frame, _ in self._pictures_at(indices):
            yield frame

    def _pictures_at(self, indices: Sequence[int]) -> Iterator[tuple[MotionFrame, Picture]]:
        """Chosen pictures in presentation order, as frames and as the parser gives them."""
        if 2 * len(indices) > len(self):  # most of the file: one pass in order
            wanted = set(indices)
            for frame, picture in self._pictures():
                if frame.index in wanted:
                    yield frame, picture
                if frame.index == indices[-1]:
                    return
            return
        yield from self._parse_chosen(list(indices))

    def _parse_chosen(self, indices: list[int]) -> Iterator[tuple[MotionFrame, Picture]]:
        """Parse groups of pictures, reading the file once from front to back."""
        headers = self._scanned[1]
        groups = []
        for start in range(0, len(indices), _GROUP):
            chosen = indices[start : start + _GROUP]
            positions = [int(self._positions[i]) for i in chosen]
            groups.append((chosen, positions, set(headers.samples(positions))))
        last_use = {number: i for i, (_, _, needed) in enumerate(groups) for number in needed}
        held: dict[int, bytes] = {}
        upcoming = 0
        with open_video(self.source, packets_only=True) as (container, stream):
            number = -1
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                number += 1
                if number in last_use:
                    if packet.is_corrupt:
                        raise MalformedStream(self._cut(number))
                    held[number] = bytes(packet)
                while upcoming < len(groups) and number >= max(groups[upcoming][2]):
                    yield from self._parse_group(*groups[upcoming], held)
                    upcoming += 1
                    held = {n: data for n, data in held.items() if last_use[n] >= upcoming}
                if upcoming == len(groups):
                    return
        raise MalformedStream(f"{self.source.name}: the stream ended before picture {groups[upcoming][0][0]}")

    def _parse_group(
        self, indices: list[int], positions: list[int], needed: set[int], held: dict[int, bytes]
    ) -> Iterator[tuple[MotionFrame, Picture]]:
        from .._h264mv import H264Error

        samples = {number: held[number] for number in needed}
        try:
            pictures = self._scanned[1].parse(positions, samples, threads=self.threads)
        except H264Error as error:
            raise MalformedStream(f"{self.source.name}: {error}") from error
        for index, picture in zip(indices, pictures, strict=True):
            yield self._frame(picture, index), picture

    def _frame(self, picture: Picture, index: int) -> MotionFrame:
        if picture.damage is not None:
            raise MalformedStream(f"{self.source.name}: {picture.damage}")
        info = picture.info
        seconds = None
        if self.index.timestamps:
            seconds = float(self.index.pts[info.sample] * self.index.time_base)
        return MotionFrame(
            index=index,
            decode_index=int(self.coded_order[index]),
            pts_seconds=seconds,
            pict_type=info.pict_type,
            is_keyframe=info.keyframe,
            structure=info.structure,
            poc=info.poc,
            poc_interval=self._poc_interval,
            mv=picture.mv,
            ref_idx=picture.ref_idx,
            ref_poc=picture.ref_poc,
        )


def _framing(context: VideoCodecContext, name: str) -> _Framing:
    """How samples are delimited: NAL lengths (avcC, ISO/IEC 14496-15, 5.2.4.1) or start codes.

    Raises:
        OtherBackend: the codec is another.
    """
    if context.name != "h264":
        raise OtherBackend(
            f"{name}: the native backend reads H.264, this is {context.name!r}; "
            "use backend='libav' or 'auto'",
            expected=True,
        )
    extradata = context.extradata
    if extradata is None or len(extradata) < 7 or extradata[0] != 1:
        return {"length_size": 0, "extradata": None}  # parameter sets come within the stream
    return {"length_size": (extradata[4] & 3) + 1, "extradata": bytes(extradata)}
