"""What a backend owes: pictures in presentation order, whole or chosen, the same every time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..blocks import grid_from_blocks
from ..display import SQUARE, Display
from ..errors import MalformedStream, UnsupportedStream
from ..metadata import VideoMetadata, read_metadata
from ..motion import MotionFrame, PictType
from ..pictures.index import PictureIndex
from ..pictures.numbering import index_pictures
from ..pictures.packets import PacketIndex
from ..pictures.scan import StreamScan, scan_stream
from ..source import Source
from ..stream_info import Damage, PictureHeader, PictureStatistics, StreamParameters

__all__ = ["Backend", "ExportedPicture", "OtherBackend", "with_assumed_distances"]


class OtherBackend(UnsupportedStream):
    """This backend can't read the stream, another may; "auto" goes on to the next."""

    def __init__(self, message: str, *, expected: bool) -> None:
        super().__init__(message)
        self.expected = expected  # by the codec alone; else the user should hear of it


class Backend(ABC):
    """Motion of one file. Iterating twice gives the same pictures bit for bit."""

    name: ClassVar[str]

    def __init__(self, source: Source, threads: int = 1) -> None:
        self.source = source
        self.threads = threads
        self.skip_damage = False
        self.damaged: dict[Damage, None] = {}  # an ordered set
        self.guessed: dict[int, None] = {}  # pictures that refer to lost ones

    def report(self, index: int | None, message: str) -> None:
        """Note a damaged picture.

        Raises:
            MalformedStream: unless damage is to be skipped.
        """
        if not self.skip_damage:
            raise MalformedStream(f"{self.source.name}: {message}")
        self.damaged[Damage(index, message)] = None

    def save_index(self, path: Path) -> None:
        """Keep what a pass over the file told (native backend only)."""
        raise UnsupportedStream(f"{self.source.name}: the {self.name} backend has no index to keep")

    def load_index(self, path: Path) -> None:
        """Use what :meth:`save_index` kept instead of a pass over the file."""
        raise UnsupportedStream(f"{self.source.name}: the {self.name} backend takes no index")

    @classmethod
    @abstractmethod
    def why_unavailable(cls) -> str | None:
        """None if the backend can be used, else what is missing and how to install it."""

    @cached_property
    def scan(self) -> StreamScan:
        """Packets of the video stream and the headers in them (one pass over the file)."""
        return scan_stream(self.source)

    @property
    def index(self) -> PacketIndex:
        """Packets of the video stream."""
        return self.scan.packets

    @cached_property
    def pictures(self) -> PictureIndex:
        """The frames that decoding puts out."""
        return index_pictures(self.source, self.scan)

    @cached_property
    def metadata(self) -> VideoMetadata:
        """Properties of the stream."""
        return read_metadata(self.source, self.index, self.pictures, self.display)

    @property
    def display(self) -> Display:
        """How pictures are shown."""
        return self.scan.display

    @cached_property
    def coded_order(self) -> npt.NDArray[np.int64]:
        """Position in decoding order of each presented picture, int64 [number of pictures]."""
        return self.pictures.decode_rank

    @cached_property
    def frame_of(self) -> npt.NDArray[np.int64]:
        """The frame that each picture belongs to, int64 [number of pictures]."""
        return np.arange(len(self), dtype=np.int64)

    @cached_property
    def keyframes(self) -> list[int]:
        """Presentation indices of the pictures that decoding can start at."""
        return [int(i) for i in np.nonzero(self.pictures.entry)[0]]

    def __len__(self) -> int:
        return len(self.coded_order)  # fields of a frame count as two where they are pictures

    @abstractmethod
    def frames(self) -> Iterator[MotionFrame]:
        """All pictures in presentation order, one at a time.

        Raises:
            MalformedStream: at the first damaged picture, after those before it.
        """

    @property
    def parameters(self) -> StreamParameters | None:
        """What the sequence parameter set says; None for backends that do not parse it."""
        return None

    @property
    def headers(self) -> list[PictureHeader | None] | None:
        """Of all pictures in presentation order; None for backends that do not parse them."""
        return None

    def described(
        self, indices: Sequence[int] | None = None
    ) -> Iterator[tuple[MotionFrame, PictureStatistics | None]]:
        """As :meth:`frames` or :meth:`frames_at`, each with its counts; None for backends that do not parse."""
        for frame in self.frames() if indices is None else self.frames_at(indices):
            yield frame, None

    @abstractmethod
    def frames_at(self, indices: Sequence[int]) -> Iterator[MotionFrame]:
        """Chosen pictures; `indices` ascending, distinct and within range."""


@dataclass(frozen=True)
class ExportedPicture:
    """One picture as libavcodec exports it, before it is rasterised."""

    index: int
    decode_index: int
    pts_seconds: float | None
    pict_type: PictType
    is_keyframe: bool
    grid_shape: tuple[int, int]
    table: npt.NDArray[np.int32]
    display: Display
    corrupt: bool = False

    def frame(self, distance: tuple[float, float]) -> MotionFrame:
        """Rasterise."""
        mv, ref_idx = grid_from_blocks(self.table, self.grid_shape, bipredictive=self.pict_type == "B")
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


_LOOKAHEAD = 64  # more B pictures in a row than any encoder writes; bounds the memory


def with_assumed_distances(
    pictures: Iterable[ExportedPicture],
) -> Iterator[tuple[ExportedPicture, tuple[float, float]]]:
    """Add the distances to the nearest I or P picture before and after each picture.

    Args:
        pictures: stretches in presentation order, each starting with a picture that needs no other.

    Yields:
        (picture, (frames since the anchor before it, frames until the anchor after it)).
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
        if picture.pict_type == "B" and len(waiting) <= _LOOKAHEAD:
            continue
        yield from release(picture.index)
        if picture.pict_type != "B":
            before = picture.index
    yield from release(None)
