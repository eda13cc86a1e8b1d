"""Motion through the mv-extractor package (PyPI: motion-vector-extractor).

The package has no random access: chosen pictures are read by running through all before them.
Types and vectors are its own; times, keyframes and decoding order come from the packets.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from ...errors import BackendUnavailable, MalformedStream
from ...motion import MotionFrame, PictType
from ..base import Backend, ExportedPicture, with_assumed_distances
from ..libav import require_vectors
from .single_thread import bind_single_thread

__all__ = ["MvExtractorBackend"]

_PICT_TYPES: Final[dict[str, PictType]] = {"I": "I", "P": "P", "B": "B", "S": "P"}


class MvExtractorBackend(Backend):
    """mv-extractor, held to one decoding thread so that its vectors are the same every time."""

    name: ClassVar[str] = "mvextractor"

    @classmethod
    def why_unavailable(cls) -> str | None:
        if importlib.util.find_spec("mvextractor") is None:
            return "pip install motion-vector-extractor (wheels for x86-64 Linux only)"
        return None

    def frames(self) -> Iterator[MotionFrame]:
        for picture, distance in with_assumed_distances(self._pictures()):
            yield picture.frame(distance)

    def frames_at(self, indices: Sequence[int]) -> Iterator[MotionFrame]:
        remaining = list(indices)
        for picture, distance in with_assumed_distances(self._pictures()):
            if not remaining:
                return
            if picture.index == remaining[0]:
                remaining.pop(0)
                yield picture.frame(distance)
        if remaining:
            raise MalformedStream(f"{self.source.name}: picture {remaining[0]} could not be decoded")

    def _pictures(self) -> Iterator[ExportedPicture]:
        require_vectors(self.index.stream.codec, self.source.name)
        grid = self.metadata.coded_height // 4, self.metadata.coded_width // 4
        total = len(self)
        with self._reader() as reader:
            for index in range(total):
                ok, _frame, vectors, kind, *_ = reader.read()
                if not ok:
                    raise MalformedStream(
                        f"{self.source.name}: the stream ended after {index} of {total} pictures"
                    )
                yield self._exported(index, kind, vectors, grid)

    def _exported(
        self, index: int, kind: str, vectors: npt.NDArray[Any], grid: tuple[int, int]
    ) -> ExportedPicture:
        seconds = self.pictures.seconds
        return ExportedPicture(
            index=index,
            decode_index=int(self.coded_order[index]),
            pts_seconds=None if seconds is None else float(seconds[index]),
            pict_type=_PICT_TYPES.get(kind, "P"),
            is_keyframe=bool(self.pictures.entry[index]),
            display=self.display,
            grid_shape=grid,
            table=np.ascontiguousarray(vectors, np.int32).reshape(-1, 10),
        )

    @contextmanager
    def _reader(self) -> Iterator[Any]:
        from mvextractor import videocap  # an optional package, loaded where it is used

        if not bind_single_thread(str(videocap.__file__)):
            raise BackendUnavailable(
                "backend 'mvextractor' can't be used: this build of motion-vector-extractor can't be "
                "held to one thread, and its vectors would vary from run to run; use backend='libav'"
            )
        reader = videocap.VideoCap()
        with self._as_path() as path:
            if not reader.open(str(path)):
                raise MalformedStream(f"{self.source.name}: mv-extractor can't open it")
            try:
                reader.set_decode_frames(False)
                yield reader
            finally:
                reader.release()

    @contextmanager
    def _as_path(self) -> Iterator[Path]:
        if self.source.path is not None:
            yield self.source.path.absolute()
            return
        with tempfile.NamedTemporaryFile(suffix=".video") as file:
            file.write(self.source.data or b"")
            file.flush()
            yield Path(file.name)
