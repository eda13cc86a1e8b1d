"""A video file as a sequence of motion fields."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from .backends import Backend, open_backend
from .display import Display
from .errors import ArgumentError, MalformedStream
from .metadata import VideoMetadata
from .motion import MotionFrame
from .pictures.index import PictureIndex
from .pictures.notes import export_notes, stream_notes
from .pictures.packets import PacketIndex
from .pictures.scan import StreamScan
from .source import Source, SourceLike
from .stream_info import AnyPictureStatistics, Damage, PictureHeader, StreamParameters

__all__ = ["MotionDecoder", "OnDamage", "Order"]

Order: TypeAlias = Literal["presentation", "decode"]
OnDamage: TypeAlias = Literal["raise", "skip"]


class MotionDecoder:
    """Motion vectors of a video file, by iteration or at any frame.

    Args:
        source: a path, a URL, bytes or a binary file object holding a whole file (mp4, mkv, avi, ts,
            raw Annex B .264/.h264 and whatever else libavformat reads).
        backend: "native" (H.264, HEVC and MPEG-4 Part 2, parsed without decoding), "libav", "mvextractor", or
            "auto" (native for what it supports, else libav).
        order: "presentation" or "decode", the order of iteration and of ``decoder[i]``. Raw streams
            without time stamps are presented in the order of their PicOrderCnt.
        threads: for the native backend, 0 for one per core; the result does not depend on it.
        index: a file that :meth:`save_index` wrote for this video, which is then not scanned again.
        on_damage: "raise" MalformedStream at a damaged picture, or "skip" it and note it in
            :attr:`damaged` (native backend). Pictures whose direct modes use a damaged one are damaged
            too; no vector of a damaged picture is returned. Slice data of pictures with I slices only are
            not read, because they hold no motion: damage in them is reported by :meth:`described` only.

    Raises:
        FileNotFoundError: the path does not exist.
        MalformedStream: the file is empty, damaged or cut short.
        UnsupportedStream: no video stream, or (when pictures are read) a codec without motion vectors.
        BackendUnavailable: the backend is not installed.
        ArgumentError: an unknown backend, order or on_damage; negative threads.

    Example:
        >>> decoder = MotionDecoder("clip.mp4")           # doctest: +SKIP
        >>> decoder[10]                                    # doctest: +SKIP
        MotionFrame(index=10, decode_index=10, P, frame, poc=20, mv=int16[2, 60, 80, 2], inter=97%)
    """

    def __init__(
        self,
        source: SourceLike,
        backend: str = "auto",
        order: Order = "presentation",
        *,
        threads: int = 0,
        index: str | os.PathLike[str] | None = None,
        on_damage: OnDamage = "raise",
    ) -> None:
        if order not in get_args(Order):
            raise ArgumentError(f"order must be one of {get_args(Order)}, got {order!r}")
        if threads < 0:
            raise ArgumentError(f"threads must be 0 or more, got {threads}")
        if on_damage not in get_args(OnDamage):
            raise ArgumentError(f"on_damage must be one of {get_args(OnDamage)}, got {on_damage!r}")
        self._backend: Backend = open_backend(
            backend, Source.of(source), threads or os.cpu_count() or 1, None if index is None else Path(index)
        )
        self._backend.skip_damage = on_damage == "skip"
        self._order = order
        self._options = {"threads": threads, "index": index, "on_damage": on_damage}

    def __reduce__(self) -> tuple[Callable[..., MotionDecoder], tuple[object, ...]]:
        """Pickle what the decoder was made of: another process opens the file again."""
        return _reopened, (type(self), self.source, self._backend.name, self._order, self._options)

    @property
    def backend(self) -> str:
        """Name of the backend in use."""
        return self._backend.name

    @property
    def order(self) -> Order:
        """Order of the indices: "presentation" or "decode"."""
        return self._order

    @property
    def source(self) -> Source:
        """The file."""
        return self._backend.source

    @property
    def frame_count(self) -> int:
        """Number of frames that decoding outputs: like `len`, but the two fields of a frame count once."""
        return len(self._backend.pictures)

    @property
    def scan(self) -> StreamScan:
        """Result of the pass over the file."""
        return self._backend.scan

    @property
    def packets(self) -> PacketIndex:
        """Times, sizes and flags of the packets, in decoding order."""
        return self._backend.index

    @property
    def pictures(self) -> PictureIndex:
        """Numbering of the frames, their times and entry pictures."""
        return self._backend.pictures

    @property
    def times(self) -> npt.NDArray[np.float64] | None:
        """Seconds of each picture, float64 [len(self)], never decreasing; None if the file has no times."""
        times = self._backend.pictures.times
        return None if times is None else times[self._backend.frame_of]

    @property
    def frame_of(self) -> npt.NDArray[np.int64]:
        """The frame that each picture belongs to, as RGB pictures are numbered, int64 [len(self)]."""
        return _read_only(self._backend.frame_of)

    @property
    def decode_rank(self) -> npt.NDArray[np.int64]:
        """Position in decoding order of each picture in presentation order, int64 [len(self)]."""
        return _read_only(self._backend.decode_rank)

    @property
    def display(self) -> Display:
        """How pictures are shown: turned upright, in square pixels."""
        return self._backend.display

    @cached_property
    def notes(self) -> list[str]:
        """Sentences on what is left out, guessed or damaged, as far as headers show it."""
        notes = stream_notes(self._backend.scan, self._backend.pictures)
        return notes if self.backend == "native" else notes + export_notes(self._backend.scan)

    @property
    def metadata(self) -> VideoMetadata:
        """Properties of the stream."""
        return self._backend.metadata

    def __len__(self) -> int:
        return len(self._backend)

    def __repr__(self) -> str:
        return f"MotionDecoder({self._backend.source.name!r}, backend={self.backend!r}, order={self.order!r})"

    def __iter__(self) -> Iterator[MotionFrame]:
        """All pictures in order, one in memory at a time.

        Raises:
            MalformedStream: at the first damaged picture, after those before it.
        """
        frames = self._backend.frames()
        yield from frames if self._order == "presentation" else _in_decode_order(frames)
        self._require_whole()

    def _require_whole(self) -> None:
        if self._backend.index.truncation is not None:
            self._backend.report(None, self._backend.index.truncation)

    @property
    def damaged(self) -> list[Damage]:
        """Pictures left out so far with ``on_damage="skip"``."""
        return list(self._backend.damaged)

    @property
    def guessed(self) -> list[int]:
        """Pictures returned so far that refer to lost ones: their vectors are exact, `ref_poc` is a guess."""
        return list(self._backend.guessed)

    def save_index(self, path: str | os.PathLike[str]) -> None:
        """Save the scan of the file for ``MotionDecoder(source, index=path)``.

        The index is a .safetensors file, all of which is checked when it is read. It is bound to the video by
        its size and samples at 64 places; a change elsewhere shows when its slice data are parsed, or not.

        Raises:
            ArgumentError: `path` is the video itself.
            UnsupportedStream: the backend is not "native", or the codec is MPEG-4.
        """
        self.source.refuse_overwriting(Path(path))
        self._backend.save_index(Path(path))

    @property
    def parameters(self) -> StreamParameters | None:
        """Profile, level and reference count of the stream; None unless the backend is "native" and
        reads H.264 or HEVC."""
        return self._backend.parameters

    @property
    def headers(self) -> list[PictureHeader | None] | None:
        """Headers of all pictures in presentation order, None for those that can't be read; None unless
        the backend is "native" and reads H.264 or HEVC."""
        return self._backend.headers

    def described(
        self, indices: Sequence[int] | None = None
    ) -> Iterator[tuple[MotionFrame, AnyPictureStatistics | None]]:
        """Pictures in presentation order, each with its counts of macroblocks, partitions and blocks.

        The counts are None unless the backend is "native" and reads H.264 or HEVC.

        Args:
            indices: which pictures, in the decoder's `order`; None for all.

        Raises:
            IndexError: an index is out of range.
            MalformedStream: at the first damaged picture, after those before it.
        """
        if indices is not None:
            yield from self._backend.described(sorted({self._presentation(i) for i in indices}))
            return
        yield from self._backend.described()
        self._require_whole()

    def __getitem__(self, index: int) -> MotionFrame:
        return self.get_frames_at([index])[0]

    def get_frames_at(self, indices: Sequence[int]) -> list[MotionFrame]:
        """Chosen pictures in the given order; duplicates and negative indices are allowed.

        Backends that decode start at the entry picture before each stretch of pictures, behind damage at
        the first packet.

        Raises:
            IndexError: an index is out of range.
            MalformedStream: a picture on the way is damaged.
        """
        positions = [self._presentation(i) for i in indices]
        frames = {frame.index: frame for frame in self._backend.frames_at(sorted(set(positions)))}
        for missing in set(positions) - set(frames):
            reason = next((d.message for d in self.damaged if d.index == missing), "it could not be read")
            raise MalformedStream(f"{self._backend.source.name}: frame {missing}: {reason}")
        return [frames[i] for i in positions]

    def iter_frames_at(self, indices: Sequence[int]) -> Iterator[MotionFrame]:
        """Chosen pictures in presentation order, each once, one in memory at a time.

        Raises:
            IndexError: an index is out of range.
            MalformedStream: a picture on the way is damaged.
        """
        return self._backend.frames_at(sorted({self._presentation(i) for i in indices}))

    def keyframe_indices(self) -> list[int]:
        """Presentation indices of the pictures that decoding can start at."""
        return list(self._backend.keyframes)

    def _presentation(self, index: int) -> int:
        position, total = operator.index(index), len(self)
        if not -total <= position < total:
            raise IndexError(f"frame {position} of a video with {total} frames (0 to {total - 1})")
        position %= total
        if self._order == "decode":
            return int(self._by_decoding[position])
        return position

    @cached_property
    def _by_decoding(self) -> npt.NDArray[np.int64]:
        """Presentation index by position in decoding order."""
        return np.argsort(self._backend.decode_rank, kind="stable").astype(np.int64)


def _in_decode_order(frames: Iterator[MotionFrame]) -> Iterator[MotionFrame]:
    """Reorder; holds as many pictures as the stream reorders."""
    waiting: dict[int, MotionFrame] = {}
    upcoming = 0
    for frame in frames:
        waiting[frame.decode_index] = frame
        while upcoming in waiting:
            yield waiting.pop(upcoming)
            upcoming += 1
    yield from (waiting[i] for i in sorted(waiting))


def _reopened(
    kind: type[MotionDecoder], source: Source, backend: str, order: Order, options: Mapping[str, object]
) -> MotionDecoder:
    return kind(source, backend, order, **options)  # type: ignore[arg-type]


def _read_only(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """A view of numbers that the decoder itself goes by."""
    view = numbers.view()
    view.setflags(write=False)
    return view
