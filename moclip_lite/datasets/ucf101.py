"""UCF101: the official lists over a tree of .avi (as shipped) or .mp4 (transcoded) files.

Lists: ``classInd.txt`` ("1 ApplyEyeMakeup"), ``trainlist0N.txt``
("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1"), ``testlist0N.txt`` (the same without the number),
N = 1, 2, 3. Groups: the two digits behind "_g". Class numbers from 0 or from 1, Windows line ends and
separators, and a byte order mark are read alike: the class is the folder's, the number must only agree.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from ..errors import DataError
from .clip import (
    Clip,
    VideoDataset,
    shorten,
    with_groups,
)
from .table import (
    MANIFEST,
    dataset_of,
    prepared_root,
    read_manifest,
)
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
    """The lists of a folder.

    Attributes:
        classes: class names in the order of their numbers.
        splits: number -> (train, test), clip names as listed: "Class/v_Class_gNN_cNN.avi".
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
    found = {}
    for split in splits:
        train = _read_list(folder / f"trainlist{split:02d}.txt", classes)
        test = _read_list(folder / f"testlist{split:02d}.txt", classes)
        both = sorted(set(train) & set(test))
        if both:
            raise DataError(f"split {split}: {len(both)} clips are in train and in test: {shorten(both)}")
        found[split] = (tuple(train), tuple(test))
    return SplitLists(tuple(name for _, name in sorted(classes.items())), found)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        inside = sorted(path.parent.glob(f"*/{path.name}"))
        where = f"; {inside[0].parent} has one: name it with data.splits_dir (--splits)" if inside else ""
        raise DataError(
            f"{path} is missing; the lists come in UCF101TrainTestSplits-RecognitionTask.zip{where}"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file") from error
    return [line.strip() for line in text.splitlines()]


def _read_classes(path: Path) -> dict[int, str]:
    """classInd.txt: number -> class name."""
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
    """Clip names of a train or test list.

    The numbers behind the names, where there are any, may count from 0 or from 1, but all alike.
    """
    numbers = {name: number for number, name in classes.items()}
    other = 1 if min(classes) == 0 else -1  # the list counts from 1 and classInd.txt from 0, or the reverse
    names: list[str] = []
    shifts: dict[int, int] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line:
            continue
        name, _, label = line.replace("\\", "/").partition(" ")
        listed, label = PurePosixPath(name), label.strip()
        if listed.is_absolute() or ".." in listed.parts:
            raise DataError(f"{path}, line {number}: {name!r} leads out of the folder of clips")
        folder = listed.parent.name
        if folder not in numbers:  # HandStandPushups, HandstandPushups: lists differ from each other
            alike = [label for label in numbers if label.casefold() == folder.casefold()]
            folder = alike[0] if len(alike) == 1 else folder
            listed = listed.parent.parent / folder / listed.name
        if folder not in numbers:
            raise DataError(f"{path}, line {number}: {folder!r} is not a class of classInd.txt")
        if label:
            shift = int(label) - numbers[folder] if label.isdigit() and len(label) < 7 else 99
            shifts.setdefault(shift, number)
            if shift not in (0, other) or len(shifts) > 1:
                raise DataError(
                    f"{path}, line {number}: label {label} is not {folder!r} in classInd.txt "
                    f"(which has {numbers[folder]})"
                )
        names.append(listed.as_posix())
    twice = len(names) - len(set(names))
    if twice:
        raise DataError(f"{path}: {twice} clips are listed twice")
    return names


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
        root: folder of class folders; a listed .avi may be there as .mp4 or .mkv instead.
        splits_dir: folder of the lists; None to take what the manifest of a prepared folder says.
        splits: which of them to load, from 1.
        skip_missing: leave out listed clips that are absent instead of refusing.
        group_pattern: regular expression with one group, searched in each clip's file name; without one the groups
            are those of the folder's manifest, then those that UCF101's names tell.

    Raises:
        DataError: lists missing or contradictory, a clip in both lists, or absent files (the
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
        known = {row.name: row.group for row in read_manifest(root) if row.group}
        clips = [replace(clip, group=known.get(clip.name, clip.group)) for clip in clips]
    notes: tuple[str, ...] = ()
    if absent:
        what = f"{len(absent)} of {len(names)} listed clips are not under {root}: {shorten(absent)}"
        if not skip_missing or not clips:
            raise DataError(f"{what}; {_hint(root, absent)}pass --skip-missing to go on without them")
        notes = (f"left out: {what}",)
    present = {clip.name for clip in clips}
    official = {
        f"split{key}": (frozenset(train) & present, frozenset(test) & present)
        for key, (train, test) in lists.splits.items()
    }
    used = {clip.label for clip in clips}
    labels = tuple(name for name in lists.classes if name in used)
    return with_groups(VideoDataset(root, tuple(clips), labels, official, notes), group_pattern)


def _find(root: Path, names: list[str]) -> tuple[list[Clip], list[str]]:
    """Clips that are there and names that are not; letters of other case do where the exact name is absent."""
    clips, absent = [], []
    spellings: dict[str, list[Path]] | None = None
    for name in names:
        listed = PurePosixPath(name)
        candidates = [listed.with_suffix(suffix) for suffix in (listed.suffix, *_SUFFIXES)]
        found = next((root / path for path in candidates if is_file(root / path)), None)
        if found is None:
            spellings = _spellings(root) if spellings is None else spellings
            there = [spellings.get(path.as_posix().casefold(), []) for path in candidates]
            found = next((paths[0] for paths in there if len(paths) == 1), None)
        if found is None:
            absent.append(name)
        else:
            clips.append(Clip(found, name, listed.parent.name, group_in_name(name)))
    return clips, absent


def _spellings(root: Path) -> dict[str, list[Path]]:
    """Path within the folder in small letters -> the videos of that name."""
    found: dict[str, list[Path]] = {}
    for path in video_files(root):
        found.setdefault(path.relative_to(root).as_posix().casefold(), []).append(path)
    return found


def _hint(root: Path, absent: list[str]) -> str:
    """Where absent clips may be after all, a level below or above; ends in "; "."""
    folders = {PurePosixPath(name).parent.name.casefold() for name in absent}
    inside = [path for path in subfolders(root) if path.name.casefold() not in folders]
    for path in inside:
        if any(below.name.casefold() in folders for below in subfolders(path)):
            return f"{path} holds the class folders: name it with data.root (--root); "
    if root.resolve().name.casefold() in folders:
        return f"{root} is the folder of one class: name {root.resolve().parent} with data.root (--root); "
    if any(is_file(root / PurePosixPath(name).name) for name in absent):
        return f"{root} holds the clips without class folders: sort them into {root}/<class>/; "
    return ""


def group_in_name(name: str) -> str | None:
    """Groups are numbered within a class: g01 of two classes are two source videos."""
    match = re.search(GROUP_PATTERN, PurePosixPath(name).name)
    return f"{PurePosixPath(name).parent.name}_g{match.group(1)}" if match else None


def check_tree(root: Path, lists: SplitLists, *, partial: bool = False) -> list[str]:
    """Sentences on how lists and tree differ from UCF101 as published; nothing if they do not.

    Args:
        root: folder of class folders.
        lists: all three splits.
        partial: whether lists of all classes may name fewer clips.

    Raises:
        DataError: the lists have the 101 classes but not the 13,320 clips: a file is cut short.
    """
    names, said = lists.names(), []
    groups: dict[str, set[int]] = {label: set() for label in lists.classes}
    for name in names:
        match = re.search(GROUP_PATTERN, name)
        if match:
            groups[PurePosixPath(name).parent.name].add(int(match.group(1)))
    most = max((len(found) for found in groups.values()), default=0)
    counted = {"clips": len(names), "classes": len(lists.classes), "groups": most}
    if len(lists.classes) == OFFICIAL["classes"] and len(names) != OFFICIAL["clips"] and not partial:
        raise DataError(
            f"the lists name {len(names):,} clips of {len(lists.classes)} classes, UCF101's name "
            f"{OFFICIAL['clips']:,}: a list is cut short or of another version; --skip-missing goes on with these"
        )
    if counted != OFFICIAL:
        said.append(
            f"not the whole of UCF101: the lists name {counted['clips']:,} clips of {counted['classes']} classes "
            f"in up to {most} groups a class; published are {OFFICIAL['clips']:,}, {OFFICIAL['classes']} and "
            f"{OFFICIAL['groups']}"
        )
    expected = set(range(1, OFFICIAL["groups"] + 1))
    short = [f"{label} ({len(found)})" for label, found in groups.items() if found != expected]
    if short and most == OFFICIAL["groups"]:
        said.append(f"{len(short)} classes do not have the groups g01 to g25: {shorten(short)}")
    nameless = [name for name in names if group_in_name(name) is None]
    if nameless:
        said.append(f"{len(nameless)} clips carry no group in their name: {shorten(nameless)}")
    for split, parts in lists.splits.items():
        leaks = sorted(
            {g for g in map(group_in_name, parts[0]) if g} & {g for g in map(group_in_name, parts[1]) if g}
        )
        if leaks:
            said.append(f"split {split}: {len(leaks)} groups stand in train and in test: {shorten(leaks)}")
    listed = {PurePosixPath(name).with_suffix("") for name in names}
    extra = sorted(
        path.relative_to(root).as_posix()
        for path in video_files(root)
        if PurePosixPath(path.relative_to(root).as_posix()).with_suffix("") not in listed
    )
    if extra:
        said.append(f"{len(extra)} videos are in no list and are left alone: {shorten(extra)}")
    return said
