"""Motion through PyAV: libavcodec decodes each picture and exports its vectors.

One decoding thread: with frame threads libavcodec reads motion out of pictures that are still
being decoded, and what it exports varies from run to run.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from functools import cached_property
from typing import ClassVar, Final

import av.error
import av.video.stream
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.sidedata.motionvectors import MotionVectors
from av.video.frame import VideoFrame

from ..demux import coded_size
from ..errors import MalformedStream, UnsupportedStream
from ..motion import MotionFrame, PictType
from ..source import open_video
from .base import Backend, ExportedPicture, with_assumed_distances

__all__ = ["MOTION_CODECS", "LibavBackend"]

MOTION_CODECS: Final = frozenset(
    [
        "flv",
        "h263",
        "h264",
        "mpeg1video",
        "mpeg2video",
        "mpeg4",
        "msmpeg4",
        "msmpeg4v1",
        "msmpeg4v2",
        "msmpeg4v3",
        "rv10",
        "rv20",
        "wmv1",
        "wmv2",
    ]
)
"""Decoders of libavcodec that export motion vectors."""

_OPTIONS: Final = {
    "flags2": "+export_mvs",
    "skip_loop_filter": "all",  # changes samples only
    "err_detect": "explode",  # concealment would invent vectors
}


class LibavBackend(Backend):
    """H.264, MPEG-4 Part 2 and the older codecs of libavcodec that export vectors."""

    name: ClassVar[str] = "libav"

    @classmethod
    def why_unavailable(cls) -> str | None:
        return None

    def frames(self) -> Iterator[MotionFrame]:
        total = 0
        for picture, distance in with_assumed_distances(self._pictures(0)):
            total += 1
            yield picture.frame(distance)
        if total < len(self):
            raise MalformedStream(
                f"{self.source.name}: the stream ended after {total} of {len(self)} pictures"
            )

    def frames_at(self, indices: Sequence[int]) -> Iterator[MotionFrame]:
        for start, group in self.index.stretches(indices):
            missing = yield from self._chosen(start, group)
            if missing and start > 0:  # this keyframe is no clean entry point
                missing = yield from self._chosen(0, missing)
            if missing:
                raise MalformedStream(f"{self.source.name}: picture {missing[0]} could not be decoded")

    def _chosen(self, start: int, wanted: list[int]) -> Generator[MotionFrame, None, list[int]]:
        """Yield the wanted pictures, decoding from packet `start`; returns those not seen."""
        remaining = list(wanted)
        try:
            for picture, distance in with_assumed_distances(self._pictures(start)):
                if remaining and picture.index == remaining[0]:
                    remaining.pop(0)
                    yield picture.frame(distance)
                if not remaining or picture.index > remaining[-1]:
                    break
        except MalformedStream:
            if start == 0:
                raise
        return remaining

    def _pictures(self, start: int) -> Iterator[ExportedPicture]:
        counter = 0
        with open_video(self.source) as (container, stream):
            _require_vectors(stream, self.source.name)
            for frame, packet in self._decode(container, stream, start):
                if self.index.timestamps:
                    index = int(self.index.presentation_of[packet])
                    if index < 0:
                        continue
                else:
                    index = counter
                counter += 1
                yield self._exported(frame, index, packet, stream)

    def _exported(
        self, frame: VideoFrame, index: int, packet: int, stream: av.video.stream.VideoStream
    ) -> ExportedPicture:
        context = stream.codec_context
        same = (context.width, context.height) == (frame.width, frame.height)
        coded = (context.coded_width, context.coded_height) if same else (0, 0)
        width, height = coded_size(frame.width, frame.height, *coded)
        seconds = None
        if self.index.timestamps:
            seconds = float(self.index.pts[packet] * self.index.time_base)
        return ExportedPicture(
            index=index,
            decode_index=int(self.coded_order[index]),
            pts_seconds=seconds,
            pict_type=_PICT_TYPES.get(int(frame.pict_type), "P"),
            is_keyframe=bool(frame.key_frame),
            display=self.index.stream.display.with_aspect(stream.sample_aspect_ratio),
            grid_shape=(height // 4, width // 4),
            table=_block_table(frame),
        )

    def _decode(
        self, container: InputContainer, stream: av.video.stream.VideoStream, start: int
    ) -> Iterator[tuple[VideoFrame, int]]:
        """Decode from packet `start` on; yields frames with the number of their packet."""
        context = stream.codec_context
        context.options = dict(_OPTIONS)
        context.thread_count = 1
        number = 0
        if start > 0:
            container.seek(int(self.index.pts[start]), stream=stream, backward=True)
        try:
            for packet in container.demux(stream):
                if packet.size:
                    if start > 0 and number == 0:
                        number = self.index.locate(packet.pts, self.source.name)
                    if packet.is_corrupt:
                        raise MalformedStream(
                            f"{self.source.name}: the file is cut short inside picture {number} (decoding order)"
                        )
                    if self.index.unneeded(number, start):
                        number += 1
                        continue
                    packet.pts = number  # comes back with the picture, whatever the reordering
                    number += 1
                for frame in context.decode(packet):
                    if frame.pts is not None:  # else made up to fill a gap in frame_num
                        yield frame, frame.pts
        except av.error.FFmpegError as error:
            raise MalformedStream(
                f"{self.source.name}: picture {max(number - 1, 0)} (decoding order) is damaged: "
                f"{str(error.strerror).lower()}"
            ) from error

    @cached_property
    def _counted(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        packets: list[int] = []
        keys: list[bool] = []
        with open_video(self.source) as (container, stream):
            _require_vectors(stream, self.source.name)
            try:
                for frame, packet in self._decode(container, stream, 0):
                    packets.append(packet)
                    keys.append(bool(frame.key_frame))
            except MalformedStream:
                if not packets:
                    raise
                # The pass that hands out pictures raises it, behind those before it.
        return np.array(packets, np.int64), np.array(keys, bool)


_PICT_TYPES: Final[dict[int, PictType]] = {1: "I", 2: "P", 3: "B", 4: "P", 5: "I", 6: "P", 7: "B"}
"""AVPictureType; 4 is an MPEG-4 sprite, 5 and 6 are switching pictures."""

_FIELDS: Final = (
    "source",
    "w",
    "h",
    "src_x",
    "src_y",
    "dst_x",
    "dst_y",
    "motion_x",
    "motion_y",
    "motion_scale",
)


def _block_table(frame: VideoFrame) -> npt.NDArray[np.int32]:
    vectors = frame.side_data.get("MOTION_VECTORS")
    if not isinstance(vectors, MotionVectors):
        return np.zeros((0, 10), np.int32)
    exported = vectors.to_ndarray()
    table = np.empty((len(exported), 10), np.int32)
    for column, name in enumerate(_FIELDS):
        table[:, column] = exported[name]
    return table


def _require_vectors(stream: av.video.stream.VideoStream, name: str) -> None:
    codec = stream.codec_context.name
    if codec not in MOTION_CODECS:
        raise UnsupportedStream(
            f"{name}: the codec {codec!r} gives no motion vectors; "
            f"re-encode it first: moclip mv transcode SRC DST"
        )
