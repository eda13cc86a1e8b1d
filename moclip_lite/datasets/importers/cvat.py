"""CVAT: XML for video 1.1 (and tags of XML for images 1.1), as a file or in the exported ZIP file.

A track labels the frames in which its object is visible, a tag single frames, of which consecutive ones
become a segment. Frames are numbered as decoding outputs them, from 0, over the whole video even where the
task takes a part of it or every n-th frame (``frame_filter``).

The XML is read as a stream. A document type declaration is refused, so that there are no entities to expand.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final
from xml.parsers import expat

from ...errors import DataError
from .annotation import Annotation, Annotations, Frames

__all__ = ["read_cvat"]

_SHAPES: Final = frozenset(("box", "polygon", "polyline", "points", "cuboid", "ellipse", "mask", "skeleton"))
_MEMBER: Final = "annotations.xml"
_MAX_BYTES: Final = 1 << 31
_MAX_FRAME: Final = 1 << 31
_MAX_DEPTH: Final = 100
_STEP: Final = re.compile(r"step\s*=\s*(\d{1,6})", re.ASCII)


def read_cvat(path: Path, attribute: str | None = None) -> Annotations:
    """Read an export.

    Args:
        path: the XML file, or a ZIP file that holds annotations.xml.
        attribute: name of an attribute whose values are the classes, such as `action` of tracks called
            person; by default the labels of tracks and tags are.

    Raises:
        DataError: no export of CVAT, damaged, or with a document type declaration.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    reader = _Reader(path, attribute)
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive, archive.open(_MEMBER) as file:
                reader.read(file)
        except (zipfile.BadZipFile, KeyError, OSError, RuntimeError, NotImplementedError) as error:
            raise DataError(f"{path}: holds no readable {_MEMBER}") from error
    else:
        with path.open("rb") as file:
            reader.read(file)
    return reader.annotations()


@dataclass
class _Track:
    """States of a track: frame -> label, "" where the object is not visible."""

    label: str
    task: str
    states: dict[int, str] = field(default_factory=dict)


@dataclass
class _Task:
    """What the header says of a task."""

    source: str = ""
    name: str = ""
    step: int = 1


class _Reader:
    """Collects tracks and tags from the elements of a document."""

    def __init__(self, path: Path, attribute: str | None) -> None:
        self._path, self._attribute = path, attribute
        self._open: list[str] = []
        self._text = ""
        self._tasks: dict[str, _Task] = {}
        self._header = _Task()
        self._task_id = ""
        self._track: _Track | None = None
        self._tracks: list[_Track] = []
        self._tags: dict[tuple[str, str], set[int]] = {}
        self._frame: int | None = None  # of the open shape or tag
        self._value = ""  # of its attribute
        self._visible = True
        self._tag_label = ""
        self._image: int | None = None
        self._attribute_name = ""
        self._left_out: Counter[str] = Counter()

    def read(self, file: IO[bytes]) -> None:
        """Read a document."""
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._add_text
        size = 0
        try:
            while chunk := file.read(1 << 20):
                size += len(chunk)
                if size > _MAX_BYTES:
                    raise DataError(
                        f"{self._path}: more than {_MAX_BYTES >> 30} GB of XML; export fewer tasks at once"
                    )
                parser.Parse(chunk, False)
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise DataError(f"{self._path}: is no sound XML ({error})") from error
        except zipfile.BadZipFile as error:
            raise DataError(f"{self._path}: is damaged ({error})") from error

    def _refuse_doctype(self, *declaration: object) -> None:
        raise DataError(f"{self._path}: has a document type declaration, which no export of CVAT has")

    def _add_text(self, text: str) -> None:
        if len(self._text) < 1 << 16:
            self._text += text

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._open and name != "annotations":
            raise DataError(
                f"{self._path}: is no export of CVAT (its root is <{name[:40]}>, not <annotations>)"
            )
        self._open.append(name)
        if len(self._open) > _MAX_DEPTH:
            raise DataError(f"{self._path}: is no export of CVAT (its elements are nested too deep)")
        self._text = ""
        parent = self._open[-2] if len(self._open) > 1 else ""
        if name == "task" and "meta" in self._open:
            self._header, self._task_id = _Task(), ""
        elif name == "track":
            self._track = _Track(attributes.get("label", ""), attributes.get("task_id", ""))
        elif name == "image":
            self._image = self._number(attributes, "id")
        elif name in _SHAPES and parent == "track":
            self._frame, self._value = self._number(attributes, "frame"), ""
            self._visible = attributes.get("outside", "0") != "1"
        elif name == "tag" and "meta" not in self._open:
            self._frame = self._image if "frame" not in attributes else self._number(attributes, "frame")
            self._tag_label, self._value = attributes.get("label", ""), ""
        elif name == "attribute":
            self._attribute_name = attributes.get("name", "")

    def _number(self, attributes: dict[str, str], name: str) -> int:
        text = attributes.get(name, "")
        if not text.isascii() or not text.isdigit() or len(text) > 12 or int(text) > _MAX_FRAME:
            raise DataError(f"{self._path}: <{self._open[-1]} {name}={text[:40]!r}> is no frame number")
        return int(text)

    def _end(self, name: str) -> None:
        self._open.pop()
        parent, text = self._open[-1] if self._open else "", self._text.strip()
        if "meta" in self._open:
            self._end_of_header(name, parent, text)
        elif name == "attribute" and self._attribute is not None and self._attribute_name == self._attribute:
            if parent == "tag" or self._open[-2:-1] == ["track"]:  # not of an element of a skeleton
                self._value = text
        elif name in _SHAPES and parent == "track" and self._track is not None and self._frame is not None:
            self._track.states[self._frame] = self._class(self._track.label) if self._visible else ""
        elif name in _SHAPES and parent == "image":
            self._left_out["shape(s) of single images, which are neither tracks nor tags"] += 1
        elif name == "tag" and self._frame is None:
            self._left_out["tag(s) of no frame"] += 1
        elif name == "tag" and self._frame is not None:
            label = self._class(self._tag_label)
            if label:
                self._tags.setdefault((self._task_id if len(self._tasks) == 1 else "", label), set()).add(
                    self._frame
                )
            self._frame = None
        elif name == "track" and self._track is not None:
            self._tracks.append(self._track)
            self._track = None
        elif name == "image":
            self._image = None

    def _class(self, label: str) -> str:
        """The class of a shape or tag: its label, or the value of the attribute that was asked for."""
        if self._attribute is None:
            if not label:
                self._left_out["shape(s) or tag(s) without a label"] += 1
            return label
        if not self._value:
            self._left_out[f"shape(s) or tag(s) without the attribute {self._attribute}"] += 1
        return self._value

    def _end_of_header(self, name: str, parent: str, text: str) -> None:
        if name == "source":
            self._header.source = text
        elif name == "name" and parent in ("task", "job"):
            self._header.name = text
        elif name == "id" and parent in ("task", "job"):
            self._task_id = text
        elif name == "frame_filter" and text:
            step = _STEP.fullmatch(text)
            self._header.step = max(int(step[1]), 1) if step else 1
        if name in ("task", "job", "source"):
            self._tasks[self._task_id] = self._header

    def annotations(self) -> Annotations:
        """What was read.

        Raises:
            DataError: the header names no video.
        """
        annotations = Annotations(left_out=self._left_out)
        for number, track in enumerate(self._tracks):
            task = self._task(track.task)
            runs = _runs(track.states, task.step)
            if not runs:
                annotations.left_out["track(s) in which nothing is visible"] += 1
            for label, frames in runs:
                annotations.rows.append(Annotation(f"track {number}", self._video(task), label, frames))
        for (task_id, label), tagged in sorted(self._tags.items()):
            task = self._task(task_id)
            for _, frames in _runs(_with_gaps(tagged, task.step), task.step):
                annotations.rows.append(Annotation(f"tag {label}", self._video(task), label, frames))
        return annotations

    def _task(self, number: str) -> _Task:
        if number in self._tasks:
            return self._tasks[number]
        if len(self._tasks) == 1:
            return next(iter(self._tasks.values()))
        raise DataError(
            f"{self._path}: does not say which of its {len(self._tasks)} tasks an annotation is of"
        )

    def _video(self, task: _Task) -> str:
        video = task.source or task.name
        if not video:
            raise DataError(f"{self._path}: its header names no video (meta, source)")
        return video


def _with_gaps(frames: set[int], step: int) -> dict[int, str]:
    """States of a tag: it holds in its frames, and no longer in the frame behind each."""
    states = {frame + step: "" for frame in frames}
    return states | dict.fromkeys(frames, "tag")


def _runs(states: dict[int, str], step: int) -> list[tuple[str, Frames]]:
    """Stretches of frames with one label; a state holds until the next one, the last one for a step."""
    runs: list[tuple[str, Frames]] = []
    frames = sorted(states)
    for frame, after in zip(frames, [*frames[1:], (frames[-1] if frames else 0) + step], strict=True):
        label = states[frame]
        if not label:
            continue
        if runs and runs[-1][0] == label and runs[-1][1].stop == frame:
            runs[-1] = (label, Frames(runs[-1][1].first, after))
        else:
            runs.append((label, Frames(frame, after)))
    return runs
