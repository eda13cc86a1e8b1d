"""Motion vectors of a video for the page: a coarse grid per picture, in compressed chunks.

A chunk is gzip of, little-endian:

======  ===========================================================================================
bytes   content
======  ===========================================================================================
4       "MCV1"
2, 2    uint16 columns, uint16 rows
4, 4    uint32 number of the first picture, uint32 pictures n
4       float32 unit: pixels per frame interval of one step
8 n     float64 time of each picture in seconds of the stream
n       uint8 kind of each picture: 0 I, 1 P, 2 B, 3 not readable
...     int8 [n, rows, columns, (x right, y down)] in units; upright, in square pixels of the picture as shown
======  ===========================================================================================
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mv_tools import MotionDecoder, MotionFrame, flow, pool

__all__ = ["CHUNK_PICTURES", "VectorSummary", "grid_of", "pack_chunk", "write_vectors"]

CHUNK_PICTURES: Final = 240
_LONG_SIDE: Final = 48  # cells
_MIN_CELL: Final = 8  # pixels
_UNIT: Final = 0.25  # pixels per frame: a quarter sample at full size
_KINDS: Final = {"I": 0, "P": 1, "B": 2}
_MISSING: Final = 3
_ENERGY_BINS: Final = 600

Floats = npt.NDArray[np.float32]


@dataclass
class VectorSummary:
    """What the page must know before it loads chunks.

    Attributes:
        columns, rows: of the grid.
        pictures: in all.
        chunks: files, each of CHUNK_PICTURES pictures but the last.
        chunk_starts: time of the first picture of each chunk, in seconds of the stream.
        energy: (seconds, mean length of the vectors in pixels per frame) over equal parts of the video;
            keyframes, which have no vectors, are left out.
        has_motion: whether any picture has vectors.
    """

    columns: int
    rows: int
    pictures: int = 0
    chunks: int = 0
    chunk_starts: list[float] = field(default_factory=list)
    energy: list[tuple[float, float]] = field(default_factory=list)
    has_motion: bool = False

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "columns": self.columns,
            "rows": self.rows,
            "pictures": self.pictures,
            "chunks": self.chunks,
            "pictures_per_chunk": CHUNK_PICTURES,
            "chunk_starts": self.chunk_starts,
            "energy": self.energy,
            "has_motion": self.has_motion,
        }


def grid_of(width: int, height: int) -> tuple[int, int]:
    """(rows, columns) for a picture as shown: nearly square cells, at most 48 on the long side."""
    cell = max(_MIN_CELL, max(width, height) / _LONG_SIDE)
    return max(1, round(height / cell)), max(1, round(width / cell))


def pack_chunk(first: int, times: npt.NDArray[np.float64], kinds: list[int], fields: list[Floats]) -> bytes:
    """A compressed chunk.

    Args:
        first: number of its first picture.
        times: float64 [n], seconds.
        kinds: of the n pictures.
        fields: n fields, float32 [2, rows, columns], pixels per frame interval.
    """
    stacked = np.stack(fields)
    unit = np.float32(max(_UNIT, float(np.abs(stacked).max()) / 127))
    steps = np.clip(np.rint(stacked / unit), -127, 127).astype(np.int8)
    rows, columns = stacked.shape[2:]
    header = b"MCV1" + struct.pack("<HHIIf", columns, rows, first, len(fields), unit)
    body = (times.astype("<f8").tobytes(), bytes(kinds), np.moveaxis(steps, 1, -1).tobytes())
    return gzip.compress(b"".join((header, *body)), compresslevel=6, mtime=0)


class _ChunkWriter:
    """Collects pictures and writes full chunks; at most one chunk is in memory."""

    def __init__(self, folder: Path, summary: VectorSummary) -> None:
        self._folder, self._summary = folder, summary
        self._times: list[float] = []
        self._kinds: list[int] = []
        self._fields: list[Floats] = []

    def add(self, seconds: float, kind: int, field_: Floats | None) -> None:
        summary = self._summary
        if field_ is None:
            field_ = np.zeros((2, summary.rows, summary.columns), np.float32)
        self._times.append(seconds)
        self._kinds.append(kind)
        self._fields.append(field_)
        summary.pictures += 1
        if len(self._times) == CHUNK_PICTURES:
            self.flush()

    def flush(self) -> None:
        """Write what is collected."""
        if not self._times:
            return
        summary = self._summary
        first = summary.pictures - len(self._times)
        data = pack_chunk(first, np.asarray(self._times), self._kinds, self._fields)
        (self._folder / f"vectors-{summary.chunks}.gz").write_bytes(data)
        summary.chunks += 1
        summary.chunk_starts.append(self._times[0])
        self._times, self._kinds, self._fields = [], [], []


def write_vectors(
    decoder: MotionDecoder,
    times: npt.NDArray[np.float64],
    folder: Path,
    on_progress: Callable[[int, int], None],
    shown: tuple[int, int] | None = None,
) -> VectorSummary:
    """Write the motion of all pictures as chunks ``vectors-0.gz``, ``vectors-1.gz`` and so on.

    Of the two fields of a frame the first is written. Pictures that can't be read are written as such.

    Args:
        decoder: skips damage, presentation order.
        times: float64 [frames], seconds of each frame in the order of ``decoder.frame_of``.
        folder: for the chunks.
        on_progress: receives pictures written and pictures in all.
        shown: (width, height) of the picture that the vectors are for, where the decoder reads a scaled
            copy; by default the decoder's.

    Raises:
        NoMotionVectors: the codec gives none.
        MotionError: the file can't be read.
    """
    metadata = decoder.metadata
    own = metadata.display_width, metadata.display_height
    rows, columns = grid_of(*(shown or own))
    scale = _enlargement(own, shown or own)
    summary = VectorSummary(columns, rows)
    writer, energies = _ChunkWriter(folder, summary), _Energy(times)
    upcoming = 0
    for frame in decoder.iter_frames_at(range(len(decoder))):
        number = frame.frame_index
        if number < upcoming:  # the second field of a frame
            continue
        for missing in range(upcoming, number):
            writer.add(float(times[missing]), _MISSING, None)
        field_ = _field(frame, decoder, (rows, columns), scale)
        writer.add(float(times[number]), _KINDS[frame.pict_type], field_)
        energies.add(number, field_)
        summary.has_motion = summary.has_motion or field_ is not None
        upcoming = number + 1
        if number % 25 == 0:
            on_progress(number, len(times))
    for missing in range(upcoming, len(times)):
        writer.add(float(times[missing]), _MISSING, None)
    writer.flush()
    on_progress(len(times), len(times))
    summary.energy = energies.series()
    return summary


def _enlargement(copy: tuple[int, int], shown: tuple[int, int]) -> Floats:
    """Pixels of the picture as shown for a pixel of its copy, for x and y [2, 1, 1].

    Copies are never larger, but for a pixel that evens an odd size.
    """
    ratios = [max(1.0, whole / part) for whole, part in zip(shown, copy, strict=True)]
    return np.asarray(ratios, np.float32)[:, None, None]


def _field(frame: MotionFrame, decoder: MotionDecoder, grid: tuple[int, int], scale: Floats) -> Floats | None:
    """The field on the page's grid, `scale` times what was coded; None for pictures without vectors."""
    if frame.pict_type == "I":
        return None
    coded = flow(frame)
    return pool(coded, grid, region=decoder.metadata.region(coded.shape[1:])) * scale


class _Energy:
    """Mean length of the vectors over equal parts of the video."""

    def __init__(self, times: npt.NDArray[np.float64]) -> None:
        self._times = times
        self._bins = min(_ENERGY_BINS, max(1, len(times)))
        self._start = float(times[0]) if len(times) else 0.0
        self._span = max(float(times[-1]) - self._start, 1e-9) if len(times) else 1.0
        self._sums, self._counts = np.zeros(self._bins), np.zeros(self._bins)

    def add(self, number: int, field_: Floats | None) -> None:
        if field_ is not None:
            share = (float(self._times[number]) - self._start) / self._span
            place = min(int(share * self._bins), self._bins - 1)
            self._sums[place] += float(np.hypot(field_[0], field_[1]).mean())
            self._counts[place] += 1

    def series(self) -> list[tuple[float, float]]:
        """(seconds, pixels per frame) of the parts that have any."""
        width = self._span / self._bins
        return [
            (round(self._start + (place + 0.5) * width, 3), round(float(total / count), 4))
            for place, (total, count) in enumerate(zip(self._sums, self._counts, strict=True))
            if count
        ]
