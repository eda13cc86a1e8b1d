"""How a player shows coded pictures: turned upright, and scaled to square pixels.

Both come from the container: the display matrix, and the sample aspect ratio, which the codec tells where
the container does not (the rule of libavformat's av_guess_sample_aspect_ratio). The upright picture keeps
its height; its width is scaled, as ffplay does and ``ffmpeg -vf scale=iw*sar:ih``.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, NamedTuple

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..source import Source, open_video
from .orientation import UPRIGHT, Orientation

__all__ = ["SQUARE", "Display", "Region", "read_display"]

SQUARE: Final = Fraction(1)

_MOST_STRETCHED: Final = 10
"""The standards' tables go to 160:99 and 32:11; far more is damage, and would ask for any amount of memory."""

_WITH_MATRIX: Final = frozenset(("mov", "mp4", "matroska", "webm"))
"""Formats of libavformat that can hold a display matrix."""


class Region(NamedTuple):
    """The part of an upright 4x4 grid that is shown, in cells; edges may lie within a cell."""

    top: float
    left: float
    rows: float
    columns: float


@dataclass(frozen=True)
class Display:
    """How the pictures of one stream are shown.

    Attributes:
        orientation: how the coded picture is turned.
        sample_aspect_ratio: width of a coded sample to its height; None where nothing tells, which
            counts as square.
        notes: what of the container's description was not followed, in words.
    """

    orientation: Orientation = UPRIGHT
    sample_aspect_ratio: Fraction | None = None
    notes: tuple[str, ...] = ()

    def with_aspect(self, ratio: Fraction | tuple[int, int] | None) -> Display:
        """The same with the codec's sample aspect ratio, if the container tells none."""
        if ratio is None or self.sample_aspect_ratio is not None:
            return self
        value, notes = _believable(ratio)
        return replace(self, sample_aspect_ratio=value, notes=self.notes + notes)

    @property
    def upright_aspect(self) -> Fraction:
        """Width to height of a sample of the upright picture."""
        ratio = self.sample_aspect_ratio or SQUARE
        return 1 / ratio if self.orientation.swaps_sides else ratio

    @property
    def plain(self) -> bool:
        """Whether coded pictures are shown as they are."""
        return self.orientation == UPRIGHT and self.upright_aspect == 1

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) at which a picture of `width` x `height` samples is shown."""
        width, height = self.orientation.size(width, height)
        return max(1, round(width * self.upright_aspect)), height

    def picture(self, frame: VideoFrame) -> npt.NDArray[np.uint8]:
        """A decoded picture as it is shown, uint8 [height, width, 3], RGB."""
        width, height = self.orientation.inverse.size(*self.size(frame.width, frame.height))
        if (width, height) != (frame.width, frame.height):  # before conversion, as in a transcoded copy
            frame = frame.reformat(width, height, interpolation="BICUBIC")
        coded = frame.to_ndarray(format="rgb24")
        return np.ascontiguousarray(self.orientation.picture(coded), np.uint8)

    def region(self, grid_shape: tuple[int, int], shown: tuple[int, int], coded: tuple[int, int]) -> Region:
        """Where the shown part of the picture lies in the upright grid.

        Args:
            grid_shape: (rows, columns) of the upright grid; of a field picture, half as many rows.
            shown: (width, height) of the coded picture behind cropping on the right and below, in samples.
            coded: (width, height) in whole macroblocks.
        """
        (width, height), (whole_width, whole_height) = (
            self.orientation.size(*shown),
            self.orientation.size(*coded),
        )
        rows, columns = grid_shape[0] * height / whole_height, grid_shape[1] * width / whole_width
        a, b, c, d = self.orientation.linear
        top = grid_shape[0] - rows if b + d < 0 else 0.0
        left = grid_shape[1] - columns if a + c < 0 else 0.0
        return Region(top, left, rows, columns)

    def to_plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        ratio = self.sample_aspect_ratio
        return {
            "rotation": self.orientation.rotation,
            "mirror": self.orientation.mirror,
            "sample_aspect_ratio": None if ratio is None else [ratio.numerator, ratio.denominator],
            "notes": list(self.notes),
        }

    @classmethod
    def from_plain(cls, value: Any) -> Display:
        """What :meth:`to_plain` gave.

        Raises:
            ValueError: anything else.
        """
        try:
            ratio, notes = value["sample_aspect_ratio"], tuple(str(note) for note in value["notes"])
            checked = None if ratio is None else _believable((int(ratio[0]), int(ratio[1])))[0]
            return cls(Orientation(value["rotation"], bool(value["mirror"])), checked, notes)
        except (TypeError, KeyError, IndexError) as error:
            raise ValueError("its description of the display is of another kind") from error


def read_display(source: Source, stream: VideoStream) -> Display:
    """How the container says to show a stream's pictures; at most one picture is decoded.

    Args:
        source: the file.
        stream: its video stream; where it was opened for packets only, the codec's sample aspect ratio
            may be unknown.
    """
    notes: tuple[str, ...] = ()
    orientation = UPRIGHT
    matrix = _display_matrix(source, stream)
    if matrix is not None:
        try:
            orientation = Orientation.from_matrix(matrix)
        except ValueError as error:
            notes = (f"{error}; pictures and motion are left as coded",)
    return Display(orientation, None, notes).with_aspect(stream.sample_aspect_ratio)


def _believable(ratio: Fraction | tuple[int, int]) -> tuple[Fraction | None, tuple[str, ...]]:
    numerator, denominator = ratio if isinstance(ratio, tuple) else (ratio.numerator, ratio.denominator)
    if numerator < 1 or denominator < 1:  # "unspecified" in every standard
        return None, ()
    value = Fraction(numerator, denominator)
    if not 1 / _MOST_STRETCHED <= value <= _MOST_STRETCHED:
        return SQUARE, (
            f"the sample aspect ratio {numerator}:{denominator} is not believed; pixels count as square",
        )
    return value, ()


def _display_matrix(source: Source, stream: VideoStream) -> Sequence[int] | None:
    """The 9 values of a stream's display matrix, None where the container has none.

    PyAV hands out the matrix with decoded pictures only. libavformat knows it before that, and writes it
    into the header of a film that begins as a copy of the stream; so no picture need be decoded.
    """
    if _WITH_MATRIX.isdisjoint(stream.container.format.name.split(",")):
        return None
    header = io.BytesIO()
    try:
        with av.open(header, "w", format="mov", options={"movflags": "+empty_moov+frag_keyframe"}) as copy:
            copy.add_stream_from_template(stream)
            copy.start_encoding()
    except (av.error.FFmpegError, ValueError):  # a codec that such a file can't hold
        return _matrix_of_first_picture(source)
    return _matrix_of_header(header.getvalue())


def _matrix_of_header(header: bytes) -> Sequence[int] | None:
    """The matrix of the only track header (ISO/IEC 14496-12, 8.3.2) in what libavformat wrote."""
    place = header.find(b"tkhd")
    if place < 0:
        return None
    start = place + 4 + (52 if header[place + 4] == 1 else 40)
    return struct.unpack_from(">9i", header, start)


def _matrix_of_first_picture(source: Source) -> Sequence[int] | None:
    with open_video(source) as (container, stream):
        stream.codec_context.thread_count = 1
        try:
            frame = next(container.decode(stream), None)
        except av.error.FFmpegError:  # told by whoever reads the picture
            return None
    matrix: Any = None if frame is None else frame.side_data.get("DISPLAYMATRIX")
    return None if matrix is None else struct.unpack("=9i", bytes(matrix)[:36])
