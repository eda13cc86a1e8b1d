"""Motion vectors through PyAV: libavcodec decodes each picture and exports its vectors.

Decoding uses one thread: with frame threads libavcodec exports vectors of pictures that are still being
decoded, and they vary from run to run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
from av.sidedata.motionvectors import MotionVectors
from av.video.frame import VideoFrame

from ..blocks import BLOCK_COLUMNS
from ..errors import MalformedStream, UnsupportedStream
from ..metadata import coded_size
from ..motion import MotionFrame, PictType
from ..pictures.reader import PictureReader
from .base import Backend
from .exported import (
    GIVE_LAST_ON_FLUSH,
    ExportedPicture,
    Problem,
    require_vectors,
    with_assumed_distances,
    without_vectors,
)

__all__ = ["LibavBackend"]

_ADVICE: Final = "re-encode it first: moclip mv transcode SRC DST"

_OPTIONS: Final = {
    "flags2": "+export_mvs",
    "skip_loop_filter": "all",  # changes samples only
}


class LibavBackend(Backend):
    """H.264, MPEG-4 Part 2 and the older codecs of libavcodec that export vectors."""

    name: ClassVar[str] = "libav"

    @classmethod
    def why_unavailable(cls) -> str | None:
        return None

    def frames(self) -> Iterator[MotionFrame]:
        yield from self._frames(range(len(self)))

    def frames_at(self, indices: Sequence[int]) -> Iterator[MotionFrame]:
        yield from self._frames(indices)

    def _frames(self, indices: Sequence[int]) -> Iterator[MotionFrame]:
        """Chosen pictures; damaged and missing ones are reported in their places."""
        require_vectors(self.index.stream.codec, self.source.name)
        upcoming = deque(indices)
        for picture, distance in with_assumed_distances(self._pictures(indices)):
            while upcoming and upcoming[0] < picture.index:
                self.report(upcoming[0], f"picture {upcoming.popleft()} could not be decoded")
            if not upcoming or picture.index != upcoming[0]:
                continue
            upcoming.popleft()
            if picture.problem is not None:
                self.report(picture.index, *picture.problem)
            else:
                yield picture.frame(distance)
        while upcoming:
            self.report(upcoming[0], f"picture {upcoming.popleft()} could not be decoded")

    def _pictures(self, indices: Sequence[int]) -> Iterator[ExportedPicture]:
        """Chosen pictures, and those that decoding passes on the way, without their tables."""
        reader = PictureReader(
            source=self.source,
            packets=self.index,
            pictures=self.pictures,
            options=_OPTIONS,
            every=True,
            repeat_entry=self.index.stream.codec in GIVE_LAST_ON_FLUSH,
        )
        chosen = set(indices)
        for index, frame, coded in reader.read(indices):
            picture = self._exported(frame, index, coded)
            yield self._with_table(picture, frame) if index in chosen else picture

    def _with_table(self, picture: ExportedPicture, frame: VideoFrame) -> ExportedPicture:
        """The picture with its table, or why it has none."""
        codec, table = self.index.stream.codec, _block_table(frame)
        flushed = picture.index == len(self) - 1 and codec not in GIVE_LAST_ON_FLUSH and not len(table)
        which = without_vectors(codec, picture.pict_type, last=flushed)
        if picture.problem is not None or not which:
            return replace(picture, table=table)
        advice = f"backend='native' reads them in most files, else {_ADVICE}" if codec == "mpeg4" else _ADVICE
        message = f"picture {picture.index}: libavcodec gives no vectors of {which} of {codec!r}; {advice}"
        return replace(picture, problem=Problem(message, UnsupportedStream))

    def _exported(self, frame: VideoFrame, index: int, coded: tuple[int, int]) -> ExportedPicture:
        """A picture without its table."""
        width, height = coded_size(frame.width, frame.height, *coded)
        seconds = self.pictures.seconds
        return ExportedPicture(
            index=index,
            decode_index=int(self.decode_rank[index]),
            pts_seconds=None if seconds is None else float(seconds[index]),
            pict_type=_PICT_TYPES.get(int(frame.pict_type), "P"),
            is_keyframe=bool(frame.key_frame),
            display=self.display,
            grid_shape=(height // 4, width // 4),
            table=np.zeros((0, 10), np.int32),
            problem=Problem(f"picture {index} is damaged", MalformedStream) if frame.is_corrupt else None,
        )


_PICT_TYPES: Final[dict[int, PictType]] = {1: "I", 2: "P", 3: "B", 4: "P", 5: "I", 6: "P", 7: "B"}
"""AVPictureType; 4 is an MPEG-4 sprite, 5 and 6 are switching pictures."""


def _block_table(frame: VideoFrame) -> npt.NDArray[np.int32]:
    vectors = frame.side_data.get("MOTION_VECTORS")
    if not isinstance(vectors, MotionVectors):
        return np.zeros((0, 10), np.int32)
    exported = vectors.to_ndarray()
    table = np.empty((len(exported), 10), np.int32)
    for column, name in enumerate(BLOCK_COLUMNS):
        table[:, column] = exported[name]
    return table
