"""Interface of the backends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ..display import Display
from ..errors import MalformedStream, UnsupportedStream
from ..metadata import VideoMetadata, read_metadata
from ..motion import MotionFrame
from ..pictures.index import PictureIndex
from ..pictures.numbering import index_pictures
from ..pictures.packets import PacketIndex
from ..pictures.scan import StreamScan, scan_stream
from ..source import Source
from ..stream_info import AnyPictureStatistics, Damage, PictureHeader, StreamParameters

__all__ = ["Backend", "OtherBackend"]


class OtherBackend(UnsupportedStream):
    """This backend can't read the stream, but another may; "auto" continues with the next.

    Attributes:
        expected: whether the codec alone is the reason; otherwise the message is logged.
    """

    def __init__(self, message: str, *, expected: bool) -> None:
        super().__init__(message)
        self.expected = expected


class Backend(ABC):
    """Motion of one file: pictures in presentation order, all or chosen, the same in each iteration.

    Args:
        source: the file.
        threads: for parsing, at least 1.

    Attributes:
        skip_damage: leave damaged pictures out and note them, instead of raising.
        damaged: pictures left out so far, as an ordered set.
        guessed: pictures returned so far that refer to lost ones, as an ordered set.
    """

    name: ClassVar[str]

    def __init__(self, source: Source, threads: int = 1) -> None:
        self.source = source
        self.threads = threads
        self.skip_damage = False
        self.damaged: dict[Damage, None] = {}
        self.guessed: dict[int, None] = {}

    def open(self) -> None:
        """Refuse a file that can't be read, here and not at first use, so that threads can share a decoder.

        Raises:
            OtherBackend: another backend may read it.
            MotionError: the file can't be read.
        """
        _ = self.index, self.pictures

    def report(
        self,
        index: int | None,
        message: str,
        kind: type[MalformedStream] | type[UnsupportedStream] = MalformedStream,
    ) -> None:
        """Note a picture that is damaged, or whose motion can't be read.

        Raises:
            MalformedStream, UnsupportedStream: `kind`, unless `skip_damage` is set.
        """
        if not self.skip_damage:
            raise kind(f"{self.source.name}: {message}")
        self.damaged[Damage(index, message)] = None

    def save_index(self, path: Path) -> None:
        """Save the scan of the file (native backend only)."""
        raise UnsupportedStream(f"{self.source.name}: the {self.name} backend has no index to save")

    def load_index(self, path: Path) -> None:
        """Use what :meth:`save_index` wrote instead of scanning the file."""
        raise UnsupportedStream(f"{self.source.name}: the {self.name} backend takes no index")

    @classmethod
    @abstractmethod
    def why_unavailable(cls) -> str | None:
        """None if the backend can be used, else what is missing and how to install it."""

    @classmethod
    def reads(cls, codec: str) -> bool:
        """Whether it may read a codec (libavcodec's name)."""
        return True

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
        """The frames that decoding outputs."""
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
    def decode_rank(self) -> npt.NDArray[np.int64]:
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
        return len(self.decode_rank)  # fields of a frame count as two where they are pictures

    @abstractmethod
    def frames(self) -> Iterator[MotionFrame]:
        """All pictures in presentation order, one at a time.

        Raises:
            MalformedStream: at the first damaged picture, after those before it.
        """

    @property
    def parameters(self) -> StreamParameters | None:
        """Sequence parameters; None for backends that do not parse the stream."""
        return None

    @property
    def headers(self) -> list[PictureHeader | None] | None:
        """Headers of all pictures in presentation order; None for backends that do not parse the stream."""
        return None

    def described(
        self, indices: Sequence[int] | None = None
    ) -> Iterator[tuple[MotionFrame, AnyPictureStatistics | None]]:
        """As :meth:`frames` or :meth:`frames_at`, with counts; None if the backend parses no stream."""
        for frame in self.frames() if indices is None else self.frames_at(indices):
            yield frame, None

    @abstractmethod
    def frames_at(self, indices: Sequence[int]) -> Iterator[MotionFrame]:
        """Chosen pictures.

        Args:
            indices: ascending, distinct and within range.
        """
