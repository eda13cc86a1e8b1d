"""Reads from a container how its pictures are shown: matrix, sample aspect ratio, presence of other tracks.

The container's sample aspect ratio comes before the codec's
(the rule of libavformat's av_guess_sample_aspect_ratio).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import Any, Final

import av
import av.error
from av.video.stream import VideoStream

from ..source import Source, open_video, video_tracks
from .display import Display
from .orientation import UPRIGHT, Orientation

__all__ = ["read_display"]

_MATRIX_FORMATS: Final = frozenset(("mov", "mp4", "matroska", "webm"))
"""Formats of libavformat that can hold a display matrix."""

_TRACK_HEADER: Final = b"tkhd"  # ISO/IEC 14496-12, 8.3.2


def read_display(source: Source, stream: VideoStream) -> Display:
    """Read how a stream's pictures are shown; at most one picture is decoded.

    Args:
        source: the file.
        stream: its video stream; where it was opened for packets only, the codec's sample aspect ratio
            may be unknown.
    """
    notes = _other_tracks(stream)
    orientation = UPRIGHT
    matrix = _display_matrix(source, stream)
    if matrix is not None:
        try:
            orientation = Orientation.from_matrix(matrix)
        except ValueError as error:
            notes += (f"{error}; pictures and motion are left as coded",)
    return Display(orientation, None, notes).with_aspect(stream.sample_aspect_ratio)


def _other_tracks(stream: VideoStream) -> tuple[str, ...]:
    count = len(video_tracks(stream.container))
    size = f" ({stream.width}x{stream.height})" if stream.width else ""
    return (f"the file holds {count} video tracks; the first one{size} is read",) if count > 1 else ()


def _display_matrix(source: Source, stream: VideoStream) -> Sequence[int] | None:
    """The 9 values of a stream's display matrix, None where the container has none.

    PyAV returns the matrix with decoded pictures only. libavformat writes it into the header of a copy of
    the stream, so no picture has to be decoded.
    """
    if _MATRIX_FORMATS.isdisjoint(stream.container.format.name.split(",")):
        return None
    header = io.BytesIO()
    try:
        with av.open(header, "w", format="mov", options={"movflags": "+empty_moov+frag_keyframe"}) as copy:
            copy.add_stream_from_template(stream)
            copy.start_encoding()
    except (av.error.FFmpegError, ValueError):  # a codec that MP4 can't hold
        return _matrix_of_first_picture(source)
    return _matrix_of_header(header.getvalue())


def _matrix_of_header(header: bytes) -> Sequence[int] | None:
    """The matrix of the only track header in what libavformat wrote."""
    position = header.find(_TRACK_HEADER)
    if position < 0:
        return None
    version = header[position + 4]
    return struct.unpack_from(">9i", header, position + 4 + (52 if version == 1 else 40))


def _matrix_of_first_picture(source: Source) -> Sequence[int] | None:
    with open_video(source) as (container, stream):
        stream.codec_context.thread_count = 1
        try:
            frame = next(container.decode(stream), None)
        except av.error.FFmpegError:  # reported when the picture is read
            return None
    matrix: Any = None if frame is None else frame.side_data.get("DISPLAYMATRIX")
    return None if matrix is None else struct.unpack("=9i", bytes(matrix)[:36])
