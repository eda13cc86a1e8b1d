"""Duplicate clips and captions, counted alike in training and in retrieval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...storage.digest import digest_file

__all__ = ["Duplicates", "count_duplicates", "number_files"]


def number_files(paths: Iterable[Path]) -> dict[Path, int]:
    """Number files by content: paths of equal content, such as links and copies, share a number.

    Only files of equal size are read. A file that can't be read has a number of its own.
    """
    by_size: dict[Hashable, list[Path]] = defaultdict(list)
    for path in dict.fromkeys(paths):
        by_size[_size(path)].append(path)
    number_of_content: dict[Hashable, int] = {}
    numbers: dict[Path, int] = {}
    for size, same_size in by_size.items():
        for path in same_size:
            content: Hashable = (size, _digest(path)) if len(same_size) > 1 else size
            numbers[path] = number_of_content.setdefault(content, len(number_of_content))
    return numbers


def _size(path: Path) -> Hashable:
    try:
        return path.stat().st_size
    except OSError:
        return str(path)


def _digest(path: Path) -> str:
    try:
        return digest_file(path)
    except OSError:
        return str(path)


@dataclass(frozen=True)
class Duplicates:
    """Duplicates in a table.

    Attributes:
        captions: distinct captions that belong to more than one clip.
        names: file names beyond the first of each clip.
    """

    captions: int
    names: int

    def summary(self) -> str:
        """One line for users; empty if there are no duplicates."""
        parts = []
        if self.captions:
            parts.append(f"{self.captions} captions belong to several clips")
        if self.names:
            parts.append(f"{self.names} clips are copies of others")
        return f"{' and '.join(parts)}: equal captions and equal clips count as correct" if parts else ""


def count_duplicates(clips: Sequence[int], captions: Sequence[Hashable], names: int) -> Duplicates:
    """Count the duplicates in a table.

    Args:
        clips: for each row, the clip's number by content.
        captions: for each row, a value that is equal for equal captions.
        names: number of distinct clip names in the table.
    """
    clips_of: dict[Hashable, set[int]] = defaultdict(set)
    for clip, caption in zip(clips, captions, strict=True):
        clips_of[caption].add(clip)
    shared = sum(len(numbers) > 1 for numbers in clips_of.values())
    return Duplicates(shared, names - len(set(clips)))
