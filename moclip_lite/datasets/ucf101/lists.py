"""Official lists of UCF101.

Lists: ``classInd.txt`` ("1 ApplyEyeMakeup"), ``trainlist0N.txt``
("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1"), ``testlist0N.txt`` (the same without the number),
N = 1, 2, 3. Groups: the two digits after "_g". Class numbers may start at 0 or 1; Windows line ends and
separators and a byte order mark are accepted. The class is the folder's; the number must agree with it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from ...errors import DataError
from ..clip import shorten

__all__ = ["GROUP_PATTERN", "SplitLists", "group_in_name", "read_lists"]

GROUP_PATTERN: Final = r"_g(\d+)_c\d+"


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


def group_in_name(name: str) -> str | None:
    """The group in a clip's name, "Class_gNN"; g01 of two classes are two source videos."""
    match = re.search(GROUP_PATTERN, PurePosixPath(name).name)
    return f"{PurePosixPath(name).parent.name}_g{match.group(1)}" if match else None
