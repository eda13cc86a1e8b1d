"""UCF101: the official lists over a tree of .avi (as shipped) or .mp4 (transcoded) files.

Lists: ``classInd.txt`` ("1 ApplyEyeMakeup"), ``trainlist0N.txt``
("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1"), ``testlist0N.txt`` (the same without the number),
N = 1, 2, 3. Groups: the two digits behind "_g".
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Final

from ..errors import DataError
from .base import Clip, VideoDataset, group_of, shorten

__all__ = ["GROUP_PATTERN", "load_ucf101", "read_list"]

GROUP_PATTERN: Final = r"_g(\d+)_c\d+"


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is missing; the lists come in UCF101TrainTestSplits-RecognitionTask.zip"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_classes(path: Path) -> dict[int, str]:
    """classInd.txt: number -> class name.

    Raises:
        DataError: missing, or a line that is not "number name".
    """
    classes: dict[int, str] = {}
    for number, line in enumerate(_lines(path), start=1):
        match = re.fullmatch(r"(\d+)\s+(\S+)", line)
        if match is None:
            raise DataError(f"{path}, line {number}: expected 'number name', got {line!r}")
        classes[int(match.group(1))] = match.group(2)
    if not classes:
        raise DataError(f"{path} names no classes")
    return classes


def read_list(path: Path, classes: dict[int, str]) -> list[str]:
    """A train or test list: clip names as listed, "Class/v_Class_gNN_cNN.avi".

    The number behind a name, where there is one, must agree with the class's folder.

    Raises:
        DataError: missing, a class that is not in classInd.txt, or numbers that disagree.
    """
    names = []
    known = set(classes.values())
    for number, line in enumerate(_lines(path), start=1):
        name, _, label = line.replace("\\", "/").partition(" ")
        folder = PurePosixPath(name).parent.name
        if folder not in known:
            raise DataError(f"{path}, line {number}: {folder!r} is not a class of classInd.txt")
        if label.strip() and classes.get(int(label) if label.strip().isdigit() else -1) != folder:
            raise DataError(f"{path}, line {number}: label {label.strip()} is not {folder!r} in classInd.txt")
        names.append(name)
    return names


def load_ucf101(
    root: Path, splits_dir: Path, splits: tuple[int, ...] = (1,), *, skip_missing: bool = False
) -> VideoDataset:
    """Read UCF101, or any data set with lists of the same form.

    Args:
        root: folder of class folders; a listed .avi may be there as .mp4 or .mkv instead.
        splits_dir: folder of the lists.
        splits: which of them to load, from 1.
        skip_missing: leave out listed clips that are absent instead of refusing.

    Raises:
        DataError: lists missing or contradictory, a clip in both lists, or absent files (the
            count and the first five).
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder (data.root)")
    classes = read_classes(splits_dir / "classInd.txt")
    listed: dict[str, tuple[list[str], list[str]]] = {}
    for split in splits:
        train = read_list(splits_dir / f"trainlist{split:02d}.txt", classes)
        test = read_list(splits_dir / f"testlist{split:02d}.txt", classes)
        both = sorted(set(train) & set(test))
        if both:
            raise DataError(f"split {split}: {len(both)} clips are in train and in test: {shorten(both)}")
        listed[f"split{split}"] = (train, test)
    names = sorted({name for pair in listed.values() for part in pair for name in part})
    clips, absent = _find(root, names)
    notes: tuple[str, ...] = ()
    if absent:
        what = f"{len(absent)} of {len(names)} listed clips are not under {root}: {shorten(absent)}"
        if not skip_missing or not clips:
            raise DataError(f"{what}; pass --skip-missing to go on without them")
        notes = (f"left out: {what}",)
    present = {clip.name for clip in clips}
    official = {
        key: (frozenset(train) & present, frozenset(test) & present) for key, (train, test) in listed.items()
    }
    used = {clip.label for clip in clips}
    labels = tuple(name for _, name in sorted(classes.items()) if name in used)
    return VideoDataset(root, tuple(clips), labels, official, notes)


def _find(root: Path, names: list[str]) -> tuple[list[Clip], list[str]]:
    clips, absent = [], []
    for name in names:
        listed = PurePosixPath(name)
        if listed.is_absolute() or ".." in listed.parts:
            raise DataError(f"a list names {name!r}, which is outside {root}")
        found = next(
            (
                path
                for suffix in (listed.suffix, ".mp4", ".mkv", ".avi")
                if (path := root / listed.with_suffix(suffix)).is_file()
            ),
            None,
        )
        if found is None:
            absent.append(name)
        else:
            label = listed.parent.name
            # Groups are numbered within a class: g01 of two classes are two source videos.
            number = group_of(GROUP_PATTERN, name) if re.search(GROUP_PATTERN, name) else None
            clips.append(Clip(found, name, label, f"{label}_g{number}" if number else None))
    return clips, absent
