"""UCF101: official lists over a tree of .avi files (as published) or .mp4 files (transcoded).

Lists: ``classInd.txt`` ("1 ApplyEyeMakeup"), ``trainlist0N.txt``
("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1"), ``testlist0N.txt`` (the same without the number),
N = 1, 2, 3. Groups: the two digits after "_g". Class numbers may start at 0 or 1; Windows line ends and
separators and a byte order mark are accepted. The class is the folder's; the number must agree with it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from ..errors import DataError
from .clip import Clip, VideoDataset, shorten, with_groups
from .manifest import MANIFEST, dataset_of, prepared_root, read_manifest
from .walk import is_file, subfolders, video_files

__all__ = [
    "GROUP_PATTERN",
    "OFFICIAL",
    "SplitLists",
    "check_tree",
    "group_in_name",
    "load_ucf101",
    "read_lists",
]

GROUP_PATTERN: Final = r"_g(\d+)_c\d+"
OFFICIAL: Final = {"clips": 13_320, "classes": 101, "groups": 25}
_SUFFIXES: Final = (".avi", ".mp4", ".mkv")


@dataclass(frozen=True)
class SplitLists:
    """Class index and split lists.

    Attributes:
        classes: class names in the order of their numbers.
        splits: number -> (train, test), clip names such as "Class/v_Class_gNN_cNN.avi".
    """

    classes: tuple[str, ...]
    splits: dict[int, tuple[tuple[str, ...], tuple[str, ...]]]

    def names(self) -> list[str]:
        """Every listed clip once, sorted."""
        return sorted({name for pair in self.splits.values() for part in pair for name in part})


def read_lists(folder: Path, splits: Sequence[int]) -> SplitLists:
    """Read ``classInd.txt`` and the lists of some splits.

    Raises:
        DataError: missing or contradictory lists, or a clip in train and test of one split.
    """
    classes = _read_classes(folder / "classInd.txt")
    lists = {}
    for split in splits:
        train = _read_list(folder / f"trainlist{split:02d}.txt", classes)
        test = _read_list(folder / f"testlist{split:02d}.txt", classes)
        both = sorted(set(train) & set(test))
        if both:
            raise DataError(f"split {split}: {len(both)} clips are in train and in test: {shorten(both)}")
        lists[split] = (tuple(train), tuple(test))
    return SplitLists(tuple(name for _, name in sorted(classes.items())), lists)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        below = sorted(path.parent.glob(f"*/{path.name}"))
        hint = f"; {below[0].parent} has one: name it with data.splits_dir (--splits)" if below else ""
        raise DataError(
            f"{path} is missing; the lists come in UCF101TrainTestSplits-RecognitionTask.zip{hint}"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file") from error
    return [line.strip() for line in text.splitlines()]


def _read_classes(path: Path) -> dict[int, str]:
    """Read classInd.txt: number -> class name."""
    classes: dict[int, str] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line:
            continue
        match = re.fullmatch(r"(\d{1,6})\s+(\S+)", line)
        if match is None:
            raise DataError(f"{path}, line {number}: expected 'number name', got {line[:80]!r}")
        if int(match.group(1)) in classes or match.group(2) in classes.values():
            raise DataError(f"{path}, line {number}: {line!r} names a number or class twice")
        classes[int(match.group(1))] = match.group(2)
    if not classes:
        raise DataError(f"{path} names no classes")
    return classes


def _read_list(path: Path, classes: dict[int, str]) -> list[str]:
    """Read the clip names of a train or test list.

    The class numbers after the names are optional; all must start at 0, or all at 1.
    """
    numbers = {name: number for number, name in classes.items()}
    other_start = 1 if min(classes) == 0 else -1  # the list starts at 1 and classInd.txt at 0, or the reverse
    names: list[str] = []
    shifts: set[int] = set()
    for number, line in enumerate(_lines(path), start=1):
        if not line:
            continue
        name, _, label = line.replace("\\", "/").partition(" ")
        clip, label = PurePosixPath(name), label.strip()
        if clip.is_absolute() or ".." in clip.parts:
            raise DataError(f"{path}, line {number}: {name!r} leads out of the folder of clips")
        folder = clip.parent.name
        if folder not in numbers:  # HandStandPushups, HandstandPushups: published lists differ
            folder = _other_case(folder, numbers)
            clip = clip.parent.parent / folder / clip.name
        if folder not in numbers:
            raise DataError(f"{path}, line {number}: {folder!r} is not a class of classInd.txt")
        if label:
            shift = int(label) - numbers[folder] if label.isdigit() and len(label) < 7 else 99
            shifts.add(shift)
            if shift not in (0, other_start) or len(shifts) > 1:
                raise DataError(
                    f"{path}, line {number}: label {label} is not {folder!r} in classInd.txt "
                    f"(which has {numbers[folder]})"
                )
        names.append(clip.as_posix())
    repeated = len(names) - len(set(names))
    if repeated:
        raise DataError(f"{path}: {repeated} clips are listed twice")
    return names


def _other_case(folder: str, classes: Collection[str]) -> str:
    """The only class that equals a folder's name but for upper and lower case; else the folder's name."""
    alike = [label for label in classes if label.casefold() == folder.casefold()]
    return alike[0] if len(alike) == 1 else folder


def load_ucf101(
    root: Path,
    splits_dir: Path | None,
    splits: tuple[int, ...] = (1,),
    *,
    skip_missing: bool = False,
    group_pattern: str | None = None,
) -> VideoDataset:
    """Read UCF101, or any data set with lists of the same form.

    Args:
        root: folder of class folders; a listed .avi file may be present as .mp4 or .mkv instead.
        splits_dir: folder of the lists; None to use the manifest of a prepared folder.
        splits: numbers of the splits to load, from 1.
        skip_missing: leave out listed clips that are absent instead of refusing.
        group_pattern: regular expression with one group, searched in each clip's file name; without one the groups
            are those of the folder's manifest, else those in UCF101's file names.

    Raises:
        DataError: missing or contradictory lists, a clip in both lists, or absent files (the
            count and the first five).
    """
    root = prepared_root(root)
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder (data.root)")
    if splits_dir is None:
        if not (root / MANIFEST).is_file():
            raise DataError(
                "data.splits_dir is not set and data.root was not prepared by moclip; name the folder of "
                "trainlist01.txt and the others"
            )
        return with_groups(dataset_of(root, read_manifest(root), splits), group_pattern)
    lists = read_lists(splits_dir, splits)
    names = lists.names()
    clips, absent = _find(root, names)
    if (root / MANIFEST).is_file():
        groups = {row.name: row.group for row in read_manifest(root) if row.group}
        clips = [replace(clip, group=groups.get(clip.name, clip.group)) for clip in clips]
    notes: tuple[str, ...] = ()
    if absent:
        problem = f"{len(absent)} of {len(names)} listed clips are not under {root}: {shorten(absent)}"
        if not skip_missing or not clips:
            raise DataError(f"{problem}; {_hint(root, absent)}pass --skip-missing to go on without them")
        notes = (f"left out: {problem}",)
    present = {clip.name for clip in clips}
    official = {
        f"split{key}": (frozenset(train) & present, frozenset(test) & present)
        for key, (train, test) in lists.splits.items()
    }
    used = {clip.label for clip in clips}
    labels = tuple(name for name in lists.classes if name in used)
    return with_groups(VideoDataset(root, tuple(clips), labels, official, notes), group_pattern)


def _find(root: Path, names: list[str]) -> tuple[list[Clip], list[str]]:
    """Listed clips that are present, and absent names; upper and lower case may differ if the exact name is absent."""
    clips, absent = [], []
    by_lower_case: dict[str, list[Path]] | None = None
    for name in names:
        listed = PurePosixPath(name)
        candidates = [listed.with_suffix(suffix) for suffix in (listed.suffix, *_SUFFIXES)]
        file = next((root / path for path in candidates if is_file(root / path)), None)
        if file is None:
            by_lower_case = _by_lower_case(root) if by_lower_case is None else by_lower_case
            spellings = [by_lower_case.get(path.as_posix().casefold(), []) for path in candidates]
            file = next((paths[0] for paths in spellings if len(paths) == 1), None)
        if file is None:
            absent.append(name)
        else:
            clips.append(Clip(file, name, listed.parent.name, group_in_name(name)))
    return clips, absent


def _by_lower_case(root: Path) -> dict[str, list[Path]]:
    """Path within the folder in lower case -> the videos of that name."""
    videos: dict[str, list[Path]] = {}
    for path in video_files(root):
        videos.setdefault(path.relative_to(root).as_posix().casefold(), []).append(path)
    return videos


def _hint(root: Path, absent: list[str]) -> str:
    """A sentence on where absent clips may be, a level below or above; ends in "; "."""
    folders = {PurePosixPath(name).parent.name.casefold() for name in absent}
    for path in subfolders(root):
        if path.name.casefold() in folders:
            continue
        if any(below.name.casefold() in folders for below in subfolders(path)):
            return f"{path} holds the class folders: name it with data.root (--root); "
    if root.resolve().name.casefold() in folders:
        return f"{root} is the folder of one class: name {root.resolve().parent} with data.root (--root); "
    if any(is_file(root / PurePosixPath(name).name) for name in absent):
        return f"{root} holds the clips without class folders: sort them into {root}/<class>/; "
    return ""


def group_in_name(name: str) -> str | None:
    """The group in a clip's name, "Class_gNN"; g01 of two classes are two source videos."""
    match = re.search(GROUP_PATTERN, PurePosixPath(name).name)
    return f"{PurePosixPath(name).parent.name}_g{match.group(1)}" if match else None


def check_tree(root: Path, lists: SplitLists, *, partial: bool = False) -> list[str]:
    """Sentences on the differences of lists and tree from UCF101 as published; empty if there are none.

    Args:
        root: folder of class folders.
        lists: all three splits.
        partial: accept lists of all classes that name fewer clips.

    Raises:
        DataError: the lists have the 101 classes but not the 13,320 clips: a file is cut short.
    """
    names = lists.names()
    sentences = _check_counts(names, lists, partial)
    nameless = [name for name in names if group_in_name(name) is None]
    if nameless:
        sentences.append(f"{len(nameless)} clips carry no group in their name: {shorten(nameless)}")
    for split, parts in lists.splits.items():
        train, test = ({group_in_name(name) for name in part} - {None} for part in parts)
        leaks = sorted(str(group) for group in train & test)
        if leaks:
            sentences.append(
                f"split {split}: {len(leaks)} groups stand in train and in test: {shorten(leaks)}"
            )
    listed = {PurePosixPath(name).with_suffix("") for name in names}
    videos = [PurePosixPath(path.relative_to(root).as_posix()) for path in video_files(root)]
    extra = sorted(path.as_posix() for path in videos if path.with_suffix("") not in listed)
    if extra:
        sentences.append(f"{len(extra)} videos are in no list and are left alone: {shorten(extra)}")
    return sentences


def _check_counts(names: Sequence[str], lists: SplitLists, partial: bool) -> list[str]:
    """Sentences on the numbers of clips, classes and groups."""
    groups: dict[str, set[int]] = {label: set() for label in lists.classes}
    for name in names:
        match = re.search(GROUP_PATTERN, name)
        if match:
            groups[PurePosixPath(name).parent.name].add(int(match.group(1)))
    most_groups = max((len(numbers) for numbers in groups.values()), default=0)
    counts = {"clips": len(names), "classes": len(lists.classes), "groups": most_groups}
    if counts["classes"] == OFFICIAL["classes"] and counts["clips"] != OFFICIAL["clips"] and not partial:
        raise DataError(
            f"the lists name {counts['clips']:,} clips of {counts['classes']} classes, UCF101's name "
            f"{OFFICIAL['clips']:,}: a list is cut short or of another version; --skip-missing goes on with these"
        )
    sentences = []
    if counts != OFFICIAL:
        sentences.append(
            f"not the whole of UCF101: the lists name {counts['clips']:,} clips of {counts['classes']} classes "
            f"in up to {most_groups} groups a class; published are {OFFICIAL['clips']:,}, {OFFICIAL['classes']} and "
            f"{OFFICIAL['groups']}"
        )
    expected = set(range(1, OFFICIAL["groups"] + 1))
    short = [f"{label} ({len(numbers)})" for label, numbers in groups.items() if numbers != expected]
    if short and most_groups == OFFICIAL["groups"]:
        sentences.append(f"{len(short)} classes do not have the groups g01 to g25: {shorten(short)}")
    return sentences
