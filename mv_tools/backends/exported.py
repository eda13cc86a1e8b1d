"""Pictures with the motion vectors that libavcodec exports."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ..blocks import grid_from_blocks
from ..display import SQUARE, Display
from ..errors import MalformedStream, NoMotionVectors, UnsupportedStream
from ..motion import MotionFrame, PictType

__all__ = [
    "GIVE_LAST_ON_FLUSH",
    "MOTION_CODECS",
    "ExportedPicture",
    "Problem",
    "require_vectors",
    "with_assumed_distances",
    "without_vectors",
]

MOTION_CODECS: Final = frozenset(
    (
        *("h264", "h263", "flv1", "mpeg1video", "mpeg2video", "mpeg4"),
        *("msmpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "rv10", "rv20", "wmv1", "wmv2"),
    )
)
"""Decoders of libavcodec that export motion vectors."""

_WITH_B_VECTORS: Final = frozenset(("h264", "mpeg1video", "mpeg2video"))

GIVE_LAST_ON_FLUSH: Final = frozenset(("mpeg1video", "mpeg2video"))
"""Those that always hold the last picture back until they are flushed, and export no vectors with it then."""

_MAX_B_PICTURES: Final = 64  # in a row; more than any encoder writes, bounds the memory


def require_vectors(codec: str, name: str) -> None:
    """Refuse a codec whose vectors libavcodec does not export.

    Raises:
        NoMotionVectors: says what to do.
    """
    if codec not in MOTION_CODECS:
        raise NoMotionVectors(
            f"{name}: the codec {codec!r} gives no motion vectors; "
            f"re-encode it first: moclip mv transcode SRC DST"
        )


def without_vectors(codec: str, pict_type: PictType, *, last: bool) -> str:
    """Which pictures, this one among them, a decoder of MOTION_CODECS exports no vectors of; "" if it does.

    What it exports of B pictures then is zero, or what an earlier picture left.

    Args:
        codec, pict_type: of the picture.
        last: it is the last one of the file, and came without vectors when the decoder was flushed.
    """
    if pict_type == "B" and codec not in _WITH_B_VECTORS:
        return "B pictures"
    held_back = codec in GIVE_LAST_ON_FLUSH or codec not in _WITH_B_VECTORS
    return "the last picture" if last and pict_type != "I" and held_back else ""


class Problem(NamedTuple):
    """Why vectors are not known, and the error that says so."""

    message: str
    kind: type[MalformedStream] | type[UnsupportedStream]


@dataclass(frozen=True)
class ExportedPicture:
    """One picture as libavcodec exports it.

    Attributes:
        index, decode_index, pts_seconds, pict_type, is_keyframe: see :class:`MotionFrame`.
        grid_shape: (H4, W4).
        table: int32 [N, 10], columns `blocks.BLOCK_COLUMNS`.
        display: how it is shown.
        problem: why its vectors are not known, as a sentence that names it; None where they are.
    """

    index: int
    decode_index: int
    pts_seconds: float | None
    pict_type: PictType
    is_keyframe: bool
    grid_shape: tuple[int, int]
    table: npt.NDArray[np.int32]
    display: Display
    problem: Problem | None = None

    def frame(self, distance: tuple[float, float]) -> MotionFrame:
        """Rasterise the table; `distance` becomes `MotionFrame.assumed_distance`."""
        bipredictive = self.pict_type == "B"
        mv, ref_idx = grid_from_blocks(self.table, self.grid_shape, bipredictive=bipredictive)
        return MotionFrame(
            index=self.index,
            decode_index=self.decode_index,
            pts_seconds=self.pts_seconds,
            pict_type=self.pict_type,
            is_keyframe=self.is_keyframe,
            mv=mv,
            ref_idx=ref_idx,
            assumed_distance=distance,
            exported=self.table,
            orientation=self.display.orientation,
            sample_aspect_ratio=self.display.sample_aspect_ratio or SQUARE,
        )


def with_assumed_distances(
    pictures: Iterable[ExportedPicture],
) -> Iterator[tuple[ExportedPicture, tuple[float, float]]]:
    """Add the distances to the nearest I or P picture before and after each picture.

    Args:
        pictures: stretches in presentation order, each starting with a picture that needs no other.

    Yields:
        (picture, (frames since the I or P picture before it, frames until the one after it)).
    """
    waiting: deque[ExportedPicture] = deque()
    before: int | None = None
    previous: int | None = None

    def release(after: int | None) -> Iterator[tuple[ExportedPicture, tuple[float, float]]]:
        while waiting:
            picture = waiting.popleft()
            past = 1.0 if before is None else float(picture.index - before)
            yield picture, (past, 1.0 if after is None else float(after - picture.index) or 1.0)

    for picture in pictures:
        if previous is not None and picture.index != previous + 1:  # another stretch
            yield from release(None)
            before = None
        previous = picture.index
        waiting.append(picture)
        if picture.pict_type == "B" and len(waiting) <= _MAX_B_PICTURES:
            continue
        yield from release(picture.index)
        if picture.pict_type != "B":
            before = picture.index
    yield from release(None)
