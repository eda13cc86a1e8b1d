"""Analysis of one video: labels, timeline, motion vectors, preview."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from mv_tools import MotionDecoder, MotionError, NoMotionVectors
from mv_tools.source import Source

from ...errors import CheckpointError
from ...predict.classifier import Classifier
from ...storage.files import write_json, write_text
from ..http.refusal import Refusal
from .preview import make_preview, player_start, plays_in_browsers
from .vectors import write_vectors

__all__ = ["Analysis", "Task"]

OnProgress: TypeAlias = Callable[[str, int, int], None]
_DEFAULT_RATE: Final = 25.0  # frames per second of streams without times


@dataclass(frozen=True, kw_only=True)
class Task:
    """What to do with one video.

    Attributes:
        video: the file.
        name: how it is called in results and messages.
        folder: where results are written.
        top_k: labels per stream.
        page: whether motion vectors and, where browsers need it, a preview are made.
        preview: "auto" to judge by the file whether browsers need one, or "yes", "no".
        max_length: seconds of a video.
        max_pixels: of a picture.
    """

    video: Path
    name: str
    folder: Path
    top_k: int = 5
    page: bool = False
    preview: Literal["auto", "yes", "no"] = "auto"
    max_length: float = 3600.0
    max_pixels: int = 8192 * 4352


@dataclass
class Analysis:
    """Runs a task; what is read from the file is read once.

    Attributes:
        classifier: the model.
        task: what to do.
        on_progress: receives stage, steps done, steps in all.
        windows: arguments of :meth:`Classifier.timeline`: window, stride and threshold,
            None for the run's own.
        notes: what the reader of the page should know.
    """

    classifier: Classifier
    task: Task
    on_progress: OnProgress
    windows: Mapping[str, float | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Write ``result.json``, the downloads and, for the page, vectors and a preview.

        Raises:
            Refusal: 413, the video is too long or its pictures are too large.
            MotionError, OSError: it can't be read.
        """
        self.on_progress("read", 0, 0)
        self._check_bounds()
        self.on_progress("predict", 0, 0)
        prediction = self.classifier.explain(self.task.video, self.task.top_k)
        result = prediction.to_json() | {"path": self.task.name}
        result["timeline"] = self._timeline()
        if self.task.page:
            result |= self._page()
        result["notes"] = [self._named(note) for note in dict.fromkeys([*result["notes"], *self.notes])]
        write_json(self.task.folder / "result.json", result)

    @cached_property
    def _source(self) -> Source:
        return Source(name=self.task.name, path=self.task.video)

    @cached_property
    def _decoder(self) -> MotionDecoder:
        return MotionDecoder(self._source, on_damage="skip")

    @cached_property
    def _times(self) -> npt.NDArray[np.float64]:
        """Seconds of each frame on the player's clock."""
        times = self._decoder.pictures.times
        if times is None:
            rate = self._decoder.metadata.average_fps or _DEFAULT_RATE
            return np.arange(self._decoder.frame_count, dtype=np.float64) / rate
        return np.asarray(times - player_start(self._source), np.float64)

    def _check_bounds(self) -> None:
        metadata = self._decoder.metadata
        pixels = metadata.coded_width * metadata.coded_height
        if pixels > self.task.max_pixels:
            limit = self.task.max_pixels / 1e6
            sentence = f"its pictures have {pixels / 1e6:.1f} megapixels; {limit:.1f} is the limit"
            raise Refusal(413, f"{self.task.name}: {sentence}")
        length = metadata.duration_seconds or self._decoder.frame_count / _DEFAULT_RATE
        if length > self.task.max_length:
            raise Refusal(
                413,
                f"{self.task.name}: the video is {_minutes(length)} long; "
                f"this server takes up to {_minutes(self.task.max_length)}",
            )

    def _timeline(self) -> dict[str, Any] | None:
        """Write the timeline's downloads; None, with a note, where the length of windows is unknown."""
        options: dict[str, Any] = {name: value for name, value in self.windows.items() if value is not None}
        try:
            timeline = self.classifier.timeline(self.task.video, progress=self.on_progress, **options)
        except CheckpointError as error:
            self.notes.append(f"no timeline: {error}")
            return None
        timeline = replace(timeline, path=self.task.name)
        self.notes += timeline.notes
        value = timeline.to_json()
        write_text(self.task.folder / "timeline.csv", timeline.to_csv())
        write_text(self.task.folder / "timeline.vtt", timeline.to_vtt())
        write_json(self.task.folder / "timeline.json", value)
        return value

    def _page(self) -> dict[str, Any]:
        """What the page needs beside the labels."""
        metadata = self._decoder.metadata
        size = (metadata.display_width, metadata.display_height)
        copy, offset = self._preview(size)
        vectors = self._vectors(copy)
        first = float(self._times[0]) if len(self._times) else 0.0
        return {
            "video": {
                "codec": metadata.codec,
                "width": size[0],
                "height": size[1],
                "fps": metadata.average_fps,
                "start": round(first, 3),
                "duration": metadata.duration_seconds or len(self._times) / _DEFAULT_RATE,
                "preview": copy is not None,
                "preview_offset": round(offset, 6),
            },
            "vectors": vectors,
        }

    def _preview(self, size: tuple[int, int]) -> tuple[Path | None, float]:
        """The preview and its offset; None where the browser plays the file itself, or none can be made."""
        task = self.task
        if task.preview == "no" or (task.preview == "auto" and plays_in_browsers(self._source)):
            return None, 0.0
        self.on_progress("preview", 0, 0)
        target = task.folder / "preview.mp4"
        times = None if self._decoder.pictures.times is None else self._times
        try:
            return target, make_preview(task.video, target, size, times)
        except MotionError as error:
            target.unlink(missing_ok=True)
            self.notes.append(f"browsers can't play this file and no preview could be made: {error}")
            return None, 0.0

    def _vectors(self, copy: Path | None) -> dict[str, Any] | None:
        """Write the vectors, in pixels of the original; of an H.264 copy where the codec has none."""

        def progress(done: int, total: int) -> None:
            self.on_progress("vectors", done, total)

        folder, metadata = self.task.folder, self._decoder.metadata
        size = metadata.display_width, metadata.display_height
        try:
            return write_vectors(self._decoder, self._times, folder, progress).to_json()
        except NoMotionVectors:
            if copy is None:
                copy = folder / "measured.mp4"
                times = None if self._decoder.pictures.times is None else self._times
                self.on_progress("preview", 0, 0)
                make_preview(self.task.video, copy, size, times)
            return write_vectors(MotionDecoder(copy), self._times, folder, progress, size).to_json()

    def _named(self, text: str) -> str:
        """A sentence with the name in place of the path."""
        return text.replace(str(self.task.video), self.task.name)


def _minutes(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.1f} minutes"
