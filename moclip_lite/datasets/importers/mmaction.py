"""MMAction2: lists of videos (``path label_index``) and annotations in the form of ActivityNet (JSON)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ...errors import DataError
from .annotation import Annotation, Annotations, number_of, read_export

__all__ = ["read_activitynet", "read_classes", "read_list"]

_LINE: Final = re.compile(r"(?P<path>.*\S)[\s,;]+(?P<label>\d{1,9})", re.ASCII)
_TWO_NUMBERS: Final = re.compile(r".*\S[\s,;]+\d{1,9}", re.ASCII)
_NUMBERED: Final = re.compile(r"(?P<number>\d{1,9})[\s,;:]+(?P<name>.*\S)", re.ASCII)
_MAX_BYTES: Final = 1 << 28
_SUBSETS: Final = {"training": "train", "train": "train", "validation": "validation", "val": "validation"}
_SUBSETS_OF_TEST: Final = ("testing", "test")


def read_classes(path: Path) -> dict[int, str]:
    """Number -> class name, of a file with a class per line: `name`, counted from 0, or `number name`.

    Raises:
        DataError: absent, empty, no text, or a number or name twice.
    """
    lines = [(number, line.strip()) for number, line in enumerate(_lines(path), start=1) if line.strip()]
    numbered = [_NUMBERED.fullmatch(line) for _, line in lines]
    classes: dict[int, str] = {}
    for position, ((line_number, line), match) in enumerate(zip(lines, numbered, strict=True)):
        number, name = position, line
        if match is not None and all(numbered):
            number, name = int(match["number"]), match["name"]
        if number in classes or name in classes.values():
            raise DataError(f"{path}, row {line_number}: {line[:80]!r} stands there twice")
        classes[number] = name
    if not classes:
        raise DataError(f"{path}: names no class")
    return classes


def read_list(path: Path, classes: Mapping[int, str] | None = None, split: str | None = None) -> Annotations:
    """Read a list of videos.

    Args:
        path: the list: a path and the number of a class in each line.
        classes: number -> name; without it the numbers are the names.
        split: the part that the list is of.

    Raises:
        DataError: a line of another form, or a number that is no class's.
    """
    annotations = Annotations()
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise DataError(
                f"{path}, row {number}: {line.strip()[:80]!r} is not a path and the number of its class"
            )
        if _TWO_NUMBERS.fullmatch(match["path"]):
            raise DataError(
                f"{path}, row {number}: {line.strip()[:80]!r} has several numbers behind the path; lists of "
                "raw frames, and of clips with several classes, are not read"
            )
        label = match["label"]
        if classes is not None:
            if int(label) not in classes:
                known = f"{min(classes)} to {max(classes)}"
                raise DataError(f"{path}, row {number}: {label} is the number of no class (they are {known})")
            label = classes[int(label)]
        annotations.rows.append(Annotation(f"row {number}", match["path"], label, split=split))
    if classes is None and annotations.rows:
        annotations.notes.append(
            f"{path.name}: classes are called by their numbers; name them with --classes FILE"
        )
    return annotations


def read_activitynet(path: Path, split: str | None = None) -> Annotations:
    """Read annotations in the form of ActivityNet: video -> its segments in seconds; MMAction2's copy has
    them at the top, the original below ``database`` with a ``subset`` for each video.

    Args:
        path: the JSON file.
        split: the part that all videos are of; by default their subsets.

    Raises:
        DataError: of another form.
    """
    value = read_export(path)
    videos = value.get("database", value) if isinstance(value, dict) else None
    if not isinstance(videos, dict) or not all(isinstance(video, dict) for video in videos.values()):
        raise DataError(f"{path}: is not of ActivityNet's form (video -> annotations)")
    found = Annotations()
    for name, video in videos.items():
        annotations = video.get("annotations")
        if not isinstance(annotations, list) or not annotations:
            found.left_out["video(s) without annotations"] += 1
            continue
        part = split or _subset(video.get("subset"))
        if part is None and video.get("subset") not in (None, ""):
            found.left_out["subset(s) other than training, validation and testing"] += 1
        for annotation in annotations:
            row = _segment(name, annotation, part)
            if row is None:
                found.left_out["annotation(s) without a label, or whose end is not after their start"] += 1
            else:
                found.rows.append(row)
    return found


def _segment(name: str, annotation: Any, split: str | None) -> Annotation | None:
    if not isinstance(annotation, dict) or not isinstance(annotation.get("label"), str):
        return None
    segment = annotation.get("segment")
    if not isinstance(segment, list) or len(segment) != 2:
        return None
    start, end = number_of(segment[0]), number_of(segment[1])
    if start is None or end is None or not 0 <= start < end or not annotation["label"]:
        return None
    return Annotation(f"video {name}", name, annotation["label"], (start, end), split)


def _subset(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return "test" if value.lower() in _SUBSETS_OF_TEST else _SUBSETS.get(value.lower())


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"{path}: larger than {_MAX_BYTES >> 20} MB")
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text") from error
