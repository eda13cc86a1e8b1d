"""Result of labelling a video: segments with labels, and their file formats."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..streams import ANSWERS

__all__ = ["NONE", "Segment", "Timeline", "TimelineWindow", "clock"]

NONE: Final = "none"
"""Label of a window in which no class reaches its threshold. Segments have class names only; gaps between
them are of no class."""

_SECOND: Final = 1000  # milliseconds


@dataclass(frozen=True)
class Segment:
    """A stretch of a video with one label.

    Attributes:
        start, end: seconds on the player's clock; `end` is exclusive.
        label: the class.
        score: calibrated probability of the label, mean over the segment, by the stream that answers.
        scores: the same of each stream, by its name.
    """

    start: float
    end: float
    label: str
    score: float
    scores: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "label": self.label,
            "score": round(self.score, 4),
            "scores": {name: round(score, 4) for name, score in self.scores.items()},
        }


@dataclass(frozen=True)
class TimelineWindow:
    """One window of a timeline.

    Attributes:
        start, end: seconds on the player's clock.
        label: the class with the highest calibrated probability; NONE without scores.
        score: that probability.
        scores: of each stream, the calibrated probability of `label`.
        energy: mean length of motion vectors in pixels per frame, at a short side of 240 pixels;
            nan if unknown.
        problem: why a stream gave no scores; empty if all did.
    """

    start: float
    end: float
    label: str
    score: float
    scores: Mapping[str, float]
    energy: float
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        values = {
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "label": self.label,
            "score": round(self.score, 4),
            "scores": {name: round(score, 4) for name, score in self.scores.items()},
            "energy": round(self.energy, 4) if self.energy == self.energy else None,
        }
        return values | ({"problem": self.problem} if self.problem else {})


@dataclass(frozen=True)
class Timeline:
    """Labels over the time of one video.

    Attributes:
        path: as given.
        duration: seconds from the first picture to the end of the last one.
        segments: ascending, without overlap; what lies between them is none of the classes.
        windows: what they were made of.
        labels: class names that can occur.
        window, stride: seconds.
        threshold: calibrated probability below which a window is none of the classes.
        notes: what a reader should know.
        seconds: wall time of the work.
        start: when the first picture is shown, in seconds on the player's clock.
    """

    path: str
    duration: float
    segments: tuple[Segment, ...]
    windows: tuple[TimelineWindow, ...]
    labels: tuple[str, ...]
    window: float
    stride: float
    threshold: float
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    start: float = 0.0

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams that gave scores, the one that answers first."""
        present = {name for window in self.windows for name in window.scores}
        return tuple(str(stream) for stream in ANSWERS if str(stream) in present)

    def table_rows(self, streams: Sequence[str], decimals: int) -> list[list[str]]:
        """Start, end, label, and the percentages of the answer and of some streams, of each segment."""
        return [
            [
                clock(segment.start, 1),
                clock(segment.end, 1),
                segment.label,
                f"{100 * segment.score:.{decimals}f}",
                *(
                    f"{100 * segment.scores[name]:.{decimals}f}" if name in segment.scores else ""
                    for name in streams
                ),
            ]
            for segment in self.segments
        ]

    def to_json(self) -> dict[str, Any]:
        """A JSON object with all but the class names."""
        return {
            "path": self.path,
            "start": round(self.start, 3),
            "duration": round(self.duration, 3),
            "window": self.window,
            "stride": self.stride,
            "threshold": self.threshold,
            "segments": [segment.to_dict() for segment in self.segments],
            "windows": [window.to_dict() for window in self.windows],
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }

    def to_csv(self, *, header: bool = True, name: str | None = None) -> str:
        """Rows ``video,start,end,label,score``.

        Args:
            header: whether the names of the columns come first.
            name: of the video; its path by default.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if header:
            writer.writerow(["video", "start", "end", "label", "score"])
        for segment in self.segments:
            times = (f"{segment.start:.3f}", f"{segment.end:.3f}")
            writer.writerow(
                [self.path if name is None else name, *times, segment.label, f"{segment.score:.4f}"]
            )
        return text.getvalue()

    def to_vtt(self) -> str:
        """WebVTT with a cue for each segment."""
        cues = ["WEBVTT"]
        for segment in self.segments:
            text = f"{_one_line(segment.label)} {100 * segment.score:.0f} %"
            for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
                text = text.replace(character, entity)
            cues.append(f"{_vtt_time(segment.start)} --> {_vtt_time(segment.end)}\n{text}")
        return "\n\n".join(cues) + "\n"

    def to_ffmetadata(self) -> str:
        """Chapters as ffmpeg's metadata: ``ffmpeg -i VIDEO -i FILE -map_metadata 1 -codec copy OUT``.

        What is none of the classes is a chapter too, called "none": in MP4 one lasts until the next begins.
        """
        lines = [";FFMETADATA1"]
        for start, end, label in self._chapters():
            title = _one_line(label)
            for character in "\\=;#":
                title = title.replace(character, "\\" + character)
            if title.endswith("\\"):
                title += " "  # libavformat would take the end of the line as escaped
            lines += ["[CHAPTER]", f"TIMEBASE=1/{_SECOND}", f"START={start}", f"END={end}", f"title={title}"]
        return "\n".join(lines) + "\n"

    def _chapters(self) -> Iterator[tuple[int, int, str]]:
        """(start, end, label) in milliseconds, from 0 to the end of the video without gaps."""
        reached = 0
        for segment in self.segments:
            start, end = (round(time * _SECOND) for time in (segment.start, segment.end))
            if start > reached:
                yield reached, start, NONE
            yield start, end, segment.label
            reached = end
        last = round((self.start + self.duration) * _SECOND)
        if self.segments and last > reached:
            yield reached, last, NONE


def clock(seconds: float, digits: int = 0) -> str:
    """ "1:05" or, with a decimal, "1:05.2"; from an hour on "1:01:05"."""
    unit = 10**digits
    minutes, rest = divmod(round(max(seconds, 0.0) * unit), 60 * unit)
    last = f"{rest / unit:0{digits + 3 if digits else 2}.{digits}f}"
    return f"{minutes}:{last}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{last}"


def _one_line(label: str) -> str:
    """A label without line breaks and control characters, which would end a cue or a chapter."""
    return " ".join("".join(c if c.isprintable() else " " for c in label).split())


def _vtt_time(seconds: float) -> str:
    """HH:MM:SS.mmm."""
    milliseconds = round(max(seconds, 0.0) * _SECOND)
    minutes, rest = divmod(milliseconds, 60 * _SECOND)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // _SECOND:02d}.{rest % _SECOND:03d}"
