"""From exports of annotation tools to an annotation table: videos are found, frames become seconds."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from mv_tools import MotionError, RgbDecoder

from ...errors import ConfigError, DataError
from ...storage.files import write_text
from ...storage.names import composed, files_like
from ..clip import shorten
from ..clip_errors import CLIP_ERRORS, reason_of
from ..segments import player_edges
from ..table.videos import wrong_name
from ..walk import video_files
from .annotation import Annotation, Annotations, Frames
from .cvat import read_cvat
from .label_studio import read_label_studio
from .mmaction import read_activitynet, read_classes, read_list

__all__ = ["KINDS", "ImportOptions", "ImportReport", "import_annotations"]

KINDS: Final = ("label-studio", "cvat", "mmaction")
_PARTS: Final = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
_UPLOADED: Final = re.compile(r"[0-9a-f]{8}-(.+)")  # Label Studio's prefix of uploaded files


@dataclass(frozen=True)
class ImportOptions:
    """What exports do not say.

    Attributes:
        videos: folder in which videos are looked for, with all folders below it.
        classes: MMAction2: file of class names.
        rate: Label Studio: the labeling configuration's frameRate.
        attribute: CVAT: the attribute whose values are the classes; Label Studio: the control.
        skip_missing: leave out annotations whose video is absent or can't be read.
    """

    videos: Path
    classes: Path | None = None
    rate: float | None = None
    attribute: str | None = None
    skip_missing: bool = False


@dataclass
class ImportReport:
    """What became of an import.

    Attributes:
        out: the table.
        rows: how many it has.
        videos: how many different videos.
        labels: class -> rows.
        notes: what was left out or guessed.
    """

    out: Path
    rows: int = 0
    videos: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def import_annotations(kind: str, sources: Sequence[str], out: Path, options: ImportOptions) -> ImportReport:
    """Convert exports to one table.

    Args:
        kind: one of KINDS.
        sources: files; ``train=FILE``, ``validation=FILE`` and ``test=FILE`` say which part a file is of.
        out: the CSV file to write; its videos are relative to its folder.
        options: what exports do not say.

    Raises:
        ConfigError: an unknown kind, or no table can be called like `out`.
        DataError: an export can't be used, or a video is absent.
    """
    if kind not in KINDS:
        raise ConfigError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if out.suffix.lower() != ".csv":
        raise ConfigError(f"--out must end with .csv, got {out}")
    exports = [_read(kind, source, options) for source in sources]
    report = ImportReport(out, notes=[note for export in exports for note in export.notes])
    left_out: Counter[str] = sum((export.left_out for export in exports), Counter())
    rows = _rows([row for export in exports for row in export.rows], options, out.parent, left_out)
    report.notes += [f"left out: {count} {what}" for what, count in left_out.items()]
    if not rows:
        raise DataError(
            f"{', '.join(sources)}: no annotation can be used; {'; '.join(report.notes) or 'it is empty'}"
        )
    _write(out, rows)
    report.rows, report.videos = len(rows), len({row[0] for row in rows})
    report.labels = dict(sorted(Counter(row[1] for row in rows).items()))
    return report


def _read(kind: str, source: str, options: ImportOptions) -> Annotations:
    """The annotations of one export."""
    word, equals, name = source.partition("=")
    split = _PARTS.get(word) if equals else None
    path = Path(name if split else source)
    if kind == "label-studio":
        annotations = read_label_studio(path, options.rate, options.attribute)
    elif kind == "cvat":
        annotations = read_cvat(path, options.attribute)
    elif path.suffix.lower() == ".json":
        return read_activitynet(path, split)
    else:
        return read_list(path, None if options.classes is None else read_classes(options.classes), split)
    if split is not None:
        annotations.rows = [
            Annotation(row.place, row.video, row.label, row.span, split) for row in annotations.rows
        ]
    return annotations


def _rows(
    annotations: Sequence[Annotation], options: ImportOptions, folder: Path, left_out: Counter[str]
) -> list[tuple[str, ...]]:
    """Rows of the table: video, label, start, end, split; equal ones once."""
    finder, times = _Videos(options.videos), _Times()
    rows: dict[tuple[str, ...], None] = {}
    missing: dict[str, str] = {}
    for annotation in annotations:
        try:
            path = finder.find(annotation.video)
            name = _name(path, folder)
            start, end = times.seconds(path, annotation.span)
        except _Unusable as problem:
            missing.setdefault(annotation.video, str(problem))
            left_out["annotation(s) of videos that are absent or can't be read"] += 1
            continue
        row = (name, annotation.label, start, end, annotation.split or "")
        if row in rows:
            left_out["annotation(s) that say the same as another one"] += 1
        rows[row] = None
    if missing and not options.skip_missing:
        reasons = [f"{video[:100]} ({reason})" for video, reason in missing.items()]
        raise DataError(
            f"{len(missing)} video(s) can't be used: {shorten(reasons, 3)}; "
            "name their folder with --videos, or go on without them with --skip-missing"
        )
    return list(rows)


def _name(path: Path, folder: Path) -> str:
    """A video's name in the table of a folder.

    Raises:
        _Unusable: no table can name it.
    """
    name = Path(os.path.relpath(path, folder.absolute())).as_posix()
    wrong = wrong_name(name)
    if wrong is not None:
        raise _Unusable(wrong)
    return name


def _write(out: Path, rows: Sequence[tuple[str, ...]]) -> None:
    """Write the columns that have a value in any row."""
    columns = ("video", "label", "start", "end", "split")
    used = [i for i, name in enumerate(columns) if i < 2 or any(row[i] for row in rows)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([columns[i] for i in used])
    writer.writerows([[row[i] for i in used] for row in rows])
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, text.getvalue())


class _Unusable(Exception):
    """A video that is absent or can't be read."""


class _Videos:
    """Finds the videos that a tool names: by their path below a folder, else by their file name alone.

    Each is looked for as it is written, then without percent signs for other characters (``%20``), and in any
    Unicode normal form where that leaves one file.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder}: there is no such folder (--videos)")
        self._folder = folder.absolute()
        self._known: dict[str, Path] = {}
        self._by_name: dict[str, list[Path]] | None = None

    def find(self, video: str) -> Path:
        """The file of a video.

        Raises:
            _Unusable: there is none, or there are several.
        """
        if video not in self._known:
            self._known[video] = self._find(video)
        return self._known[video]

    def _find(self, video: str) -> Path:
        local = _local_name(video)
        names = list(dict.fromkeys((local, unquote(local))))
        for files in (*map(self._at, names), *map(self._called, names)):
            if len(files) > 1:
                raise _Unusable(f"{len(files)} files below {self._folder} are called so")
            if files:
                return files[0]
        raise _Unusable(f"not found below {self._folder}")

    def _at(self, name: str) -> list[Path]:
        """The files at a path below the folder.

        Raises:
            _Unusable: no file can have this name.
        """
        if ".." in PurePosixPath(name).parts:
            return []
        try:
            return files_like(self._folder / name.lstrip("/"))
        except (OSError, ValueError) as error:
            raise _Unusable("no name of a file") from error

    def _called(self, name: str) -> list[Path]:
        """Videos with the file name of a path, without an upload's prefix, or with that of ActivityNet."""
        last = PurePosixPath(name).name or name
        uploaded = _UPLOADED.fullmatch(last)
        candidates = (last, *((uploaded[1],) if uploaded else ()), f"v_{last}")
        return next((files for files in map(self._named, candidates) if files), [])

    def _named(self, name: str) -> list[Path]:
        """Videos of this name, or with this name before their ending; those that are spelt so, if any are."""
        if self._by_name is None:
            self._by_name = {}
            for path in video_files(self._folder):
                for key in {composed(path.name), composed(path.stem)}:
                    self._by_name.setdefault(key, []).append(path)
        alike = self._by_name.get(composed(name), [])
        return [path for path in alike if name in (path.name, path.stem)] or alike


def _local_name(video: str) -> str:
    """The path in a name or address: that of a query ``d`` (Label Studio's local files), else its own."""
    video = video.replace("\\", "/")
    if "://" not in video and "?d=" not in video:
        return video
    address = urlsplit(video)
    local = parse_qs(address.query).get("d")
    return local[0] if local else unquote(address.path)


class _Times:
    """Seconds of annotations as a table holds them; the file that was read last is kept."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._edges: list[float] = []

    def seconds(self, path: Path, span: tuple[float, float] | Frames | None) -> tuple[str, str]:
        """(start, end) as text; empty for a whole video.

        Raises:
            _Unusable: the video can't be read, or ends before the segment.
        """
        if span is None:
            return "", ""
        if isinstance(span, Frames):
            edges = self._edges_of(path)
            if span.first >= len(edges) - 1:
                raise _Unusable(f"it has {len(edges) - 1} frames, and frame {span.first} is annotated")
            span = edges[span.first], edges[min(span.stop, len(edges) - 1)]
        start, end = (f"{value:.6f}".rstrip("0").rstrip(".") for value in span)
        return start, end

    def _edges_of(self, path: Path) -> list[float]:
        if path != self._path:
            try:
                self._path, self._edges = path, player_edges(RgbDecoder(path)).tolist()
            except (*CLIP_ERRORS, MotionError) as error:
                self._path = None
                raise _Unusable(reason_of(error)) from error
        return self._edges
