"""Motion vectors from the mv-extractor package (PyPI: motion-vector-extractor), read in a child process.

The package has no random access: chosen pictures are read by running through all before them.
Picture types and vectors come from the package; times, keyframes and decoding order from the packets.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from ...blocks import BLOCK_COLUMNS
from ...errors import BackendUnavailable, MalformedStream, MotionError, UnsupportedStream
from ...motion import MotionFrame, PictType
from ...pictures.notes import size_change
from ...source import utf8_path
from ..base import Backend
from ..exported import ExportedPicture, Problem, require_vectors, with_assumed_distances, without_vectors
from . import child

__all__ = ["MvExtractorBackend"]

_PICT_TYPES: Final[dict[str, PictType]] = {"I": "I", "P": "P", "B": "B", "S": "P"}  # S: an MPEG-4 sprite
_ROW_BYTES: Final = 4 * len(BLOCK_COLUMNS)


class MvExtractorBackend(Backend):
    """mv-extractor with one decoding thread, so that its vectors are the same in each run."""

    name: ClassVar[str] = "mvextractor"

    @classmethod
    def why_unavailable(cls) -> str | None:
        if importlib.util.find_spec("mvextractor") is None:
            return "pip install 'moclip-lite[mvextractor]' (it has wheels for x86-64 Linux only)"
        return None

    def frames(self) -> Iterator[MotionFrame]:
        for picture, distance in with_assumed_distances(self._pictures()):
            if self._is_intact(picture):
                yield picture.frame(distance)

    def frames_at(self, indices: Sequence[int]) -> Iterator[MotionFrame]:
        remaining = list(indices)
        for picture, distance in with_assumed_distances(self._pictures()):
            if not remaining:
                return
            if picture.index == remaining[0]:
                remaining.pop(0)
                if self._is_intact(picture):
                    yield picture.frame(distance)
        if remaining:
            raise MalformedStream(f"{self.source.name}: picture {remaining[0]} could not be decoded")

    def _is_intact(self, picture: ExportedPicture) -> bool:
        """Whether nothing of a picture is damaged; reported where it is."""
        if picture.problem is not None:
            self.report(picture.index, *picture.problem)
        return picture.problem is None

    def _pictures(self) -> Iterator[ExportedPicture]:
        require_vectors(self.index.stream.codec, self.source.name)
        grid = self.metadata.coded_height // 4, self.metadata.coded_width // 4
        total = len(self)
        with self._as_path() as path, _child_process(path) as process:
            for index in range(total):
                picture = _read_picture(process)
                if picture is None:
                    raise _error(self.source.name, process.wait(), index, total)
                yield self._exported(index, *picture, grid)

    def _exported(
        self, index: int, kind: str, table: npt.NDArray[np.int32], grid: tuple[int, int]
    ) -> ExportedPicture:
        seconds = self.pictures.seconds
        return ExportedPicture(
            index=index,
            decode_index=int(self.decode_rank[index]),
            pts_seconds=None if seconds is None else float(seconds[index]),
            pict_type=_PICT_TYPES.get(kind, "P"),
            is_keyframe=bool(self.pictures.entry[index]),
            display=self.display,
            grid_shape=grid,
            table=table,
            problem=self._problem(index, kind, table),
        )

    def _problem(self, index: int, kind: str, table: npt.NDArray[np.int32]) -> Problem | None:
        """Why the vectors of a picture are not known."""
        codec, where = self.index.stream.codec, f"picture {index}"
        if self.pictures.corrupt[index]:
            return Problem(f"{where} is damaged", MalformedStream)
        if self._resized is not None and self.pictures.packet[index] >= self._resized:
            reason = "the picture size has changed, and mv-extractor does not tell that of a picture"
            return Problem(f"{where}: {reason}; use backend='libav'", UnsupportedStream)
        pict_type = _PICT_TYPES.get(kind, "P")
        which = without_vectors(codec, pict_type, last=index == len(self) - 1 and not len(table))
        if not which:
            return None
        reason = f"mv-extractor gives no vectors of {which} of {codec!r}; use backend='auto'"
        return Problem(f"{where}: {reason}", UnsupportedStream)

    @cached_property
    def _resized(self) -> int | None:
        """The first packet whose picture has another size than those before; None if there is none."""
        change = size_change(self.scan)
        return None if change is None else int(self.scan.columns["sample"][change])

    @contextmanager
    def _as_path(self) -> Iterator[Path]:
        """A file that mv-extractor can open."""
        if self.source.path is not None:
            with utf8_path(self.source.path.absolute()) as path:
                yield path
            return
        with tempfile.NamedTemporaryFile(suffix=".video") as file:
            file.write(self.source.data or b"")
            file.flush()
            yield Path(file.name)


@contextmanager
def _child_process(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process that reads a file; it is ended with the block."""
    command = [sys.executable, child.__file__, str(path)]
    with subprocess.Popen(  # noqa: S603  # the arguments are a script of this package and a file name
        command, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _read_picture(process: subprocess.Popen[bytes]) -> tuple[str, npt.NDArray[np.int32]] | None:
    """Picture type and block table, int32 [N, 10], of the next picture; None at the end."""
    assert process.stdout is not None
    header = process.stdout.read(child.PICTURE.size)
    if len(header) < child.PICTURE.size:
        return None
    pict_type, rows = child.PICTURE.unpack(header)
    data = process.stdout.read(rows * _ROW_BYTES)
    if len(data) < rows * _ROW_BYTES:
        return None
    return pict_type.decode("latin-1"), np.frombuffer(data, np.int32).reshape(rows, len(BLOCK_COLUMNS))


def _error(name: str, status: int, pictures: int, total: int) -> MotionError:
    """Why the child process ended before all pictures were read."""
    if status == child.THREADS_NOT_SET:
        return BackendUnavailable(
            "backend 'mvextractor' can't be used: this build of motion-vector-extractor can't be held to one "
            "decoding thread, so its vectors would vary from run to run; use backend='libav'"
        )
    if status == child.NOT_OPENED:
        return MalformedStream(f"{name}: mv-extractor can't open it")
    if status != 0:
        return MalformedStream(
            f"{name}: mv-extractor stopped with status {status} after {pictures} of {total} pictures"
        )
    return MalformedStream(f"{name}: the stream ended after {pictures} of {total} pictures")
