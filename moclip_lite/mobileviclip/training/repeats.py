"""Which clips are one file, and which captions say the same: counted alike in training and in retrieval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...storage.digest import digest_file

__all__ = ["Repeats", "count_repeats", "number_files", "same_words"]


def same_words(caption: str) -> str:
    """A caption as it is compared: case and spacing make no difference, as to the tokenizer."""
    return " ".join(caption.split()).lower()


def number_files(paths: Iterable[Path]) -> dict[Path, int]:
    """Number files by content: paths of equal content, such as links and copies, get one number.

    Only files of equal size are read. One that can't be read has a number of its own.
    """
    by_size: dict[Hashable, list[Path]] = defaultdict(list)
    for path in dict.fromkeys(paths):
        by_size[_size(path)].append(path)
    numbers: dict[Hashable, int] = {}
    found: dict[Path, int] = {}
    for size, alike in by_size.items():
        for path in alike:
            content: Hashable = (size, _digest(path)) if len(alike) > 1 else size
            found[path] = numbers.setdefault(content, len(numbers))
    return found


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
class Repeats:
    """How often a table repeats itself.

    Attributes:
        captions: distinct captions that stand with more than one clip.
        names: names of files beyond the first, where one file has several.
    """

    captions: int
    names: int

    def summary(self) -> str:
        """One line for people; empty where nothing repeats."""
        parts = []
        if self.captions:
            parts.append(f"{self.captions} captions stand with several clips")
        if self.names:
            parts.append(f"{self.names} clips are copies of others")
        return f"{' and '.join(parts)}: what says the same or shows the same counts as right" if parts else ""


def count_repeats(clips: Sequence[int], captions: Sequence[Hashable], names: int) -> Repeats:
    """Count the repeats of a table.

    Args:
        clips: the clip of each row, by content.
        captions: the caption of each row, equal where they say the same.
        names: distinct names of clips in the table.
    """
    clips_of: dict[Hashable, set[int]] = defaultdict(set)
    for clip, caption in zip(clips, captions, strict=True):
        clips_of[caption].add(clip)
    several = sum(len(numbers) > 1 for numbers in clips_of.values())
    return Repeats(several, names - len(set(clips)))
