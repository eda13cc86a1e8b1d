"""Labelled clips, data sets and folds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mv_tools.urls import is_url, spelled

from ..errors import DataError
from ..sampling import WHOLE, Segment

__all__ = [
    "Clip",
    "ClipJob",
    "Fold",
    "Segment",
    "VideoDataset",
    "class_numbers",
    "group_of",
    "require_distinct",
    "shorten",
    "with_groups",
]


@dataclass(frozen=True)
class Clip:
    """One labelled video file, or a segment of one.

    Attributes:
        path: of the file.
        name: path within the data set, with forward slashes, in valid Unicode, and of a segment its times, as
            in ``day1.mp4@12.5-20``; unique.
        label: class name.
        group: a person or source video, whose clips stay on one side of a split; None if unknown.
        segment: the part of the file that is the clip; None for all of it.
    """

    path: Path
    name: str
    label: str
    group: str | None = None
    segment: Segment | None = None

    @property
    def video(self) -> str:
        """Name of the file: the clip's without the times of its segment."""
        return self.name if self.segment is None else self.name.removesuffix(f"@{self.segment}")

    @property
    def extent(self) -> Segment:
        """The part of the file that is the clip, also where that is all of it."""
        return self.segment or WHOLE


@dataclass(frozen=True)
class ClipJob:
    """Work on one clip in another process, see :class:`~moclip_lite.parallel.runner.JobRunner`.

    Attributes:
        clip: that is read.
    """

    clip: Clip

    @property
    def name(self) -> str:
        """Name of the clip, for messages."""
        return self.clip.name

    @property
    def path(self) -> Path:
        """The file that is read."""
        return self.clip.path


@dataclass(frozen=True)
class Fold:
    """One division of a data set into three disjoint parts; nothing is chosen on `test`.

    Attributes:
        name: unique in a run.
        train, val, test: the parts.
        notes: sentences for the user.
        seed: of a run with several seeds, the one that divided the clips and seeds
            the trainings of this fold.
    """

    name: str
    train: tuple[Clip, ...]
    val: tuple[Clip, ...]
    test: tuple[Clip, ...]
    notes: tuple[str, ...] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        parts = {"train": self.train, "validation": self.val, "test": self.test}
        part_of: dict[str, str] = {}
        for part, clips in parts.items():
            for clip in clips:
                if clip.name in part_of:
                    raise DataError(
                        f"fold {self.name}: {clip.name} stands in {part_of[clip.name]} and in {part}"
                    )
                part_of[clip.name] = part

    def clips(self) -> tuple[Clip, ...]:
        """All clips of the fold: train, validation, test."""
        return self.train + self.val + self.test

    @property
    def known(self) -> int:
        """Number of training and validation clips."""
        return len(self.train) + len(self.val)

    def repeated(self, seed: int) -> Fold:
        """The fold as one of a run with several seeds."""
        return replace(self, name=f"{self.name}-seed{seed}", seed=seed)

    @property
    def division(self) -> str:
        """Name of the division, which folds of other seeds have in common."""
        return self.name if self.seed is None else self.name.removesuffix(f"-seed{self.seed}")

    def shared_groups(self) -> set[str]:
        """Groups with clips in more than one part."""
        train, val, test = ({c.group for c in part if c.group} for part in (self.train, self.val, self.test))
        return (train & val) | (train & test) | (val & test)


@dataclass(frozen=True)
class VideoDataset:
    """Labelled clips and the official splits that come with them.

    Attributes:
        root: folder that clip names are relative to.
        clips: in a fixed order.
        labels: class names in the order of their numbers.
        official: fold name -> (train clip names, test clip names), where a data set defines them.
        validation: fold name -> validation clip names, for official folds that name them.
        notes: sentences for the user, on missing files for example.
    """

    root: Path
    clips: tuple[Clip, ...]
    labels: tuple[str, ...]
    official: dict[str, tuple[frozenset[str], frozenset[str]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    validation: dict[str, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_distinct((clip.name, clip.path) for clip in self.clips)

    @property
    def place(self) -> str:
        """The root as division.json of a run holds it: an absolute path, or a URL."""
        return spelled(self.root) if is_url(self.root) else str(self.root.resolve())

    @property
    def shown(self) -> str:
        """The root as messages name it."""
        return spelled(self.root)

    def with_splits(self, names: Sequence[str]) -> VideoDataset:
        """The same clips with these official splits only; a data set without splits is unchanged.

        Raises:
            DataError: there is no such split.
        """
        if not self.official:
            return self
        absent = [name for name in names if name not in self.official]
        if absent:
            raise DataError(
                f"{self.shown}: no {shorten(absent)} among its splits, {', '.join(self.official)}"
            )
        return replace(self, official={name: self.official[name] for name in names})

    def counts(self) -> dict[str, int]:
        """Clips per class, in label order."""
        clips = Counter(clip.label for clip in self.clips)
        return {label: clips[label] for label in self.labels}


def require_distinct(named: Iterable[tuple[str, Path]]) -> None:
    r"""Refuse two files or folders of one name, such as two whose names hold a line break and ``\n``.

    Args:
        named: names, each with the path that it stands for.

    Raises:
        DataError: there are two such.
    """
    first: dict[str, Path] = {}
    for name, path in named:
        other = first.setdefault(name, path)
        if other != path:
            raise DataError(
                f"{str(other)!r} and {str(path)!r} would both be called {name}; rename one of them"
            )


def class_numbers(clips: Iterable[Clip], labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Numbers of the clips' classes, int64 [N]."""
    number = {label: i for i, label in enumerate(labels)}
    return np.array([number[clip.label] for clip in clips], np.int64)


def group_of(pattern: str | None, name: str) -> str | None:
    """The group that a regular expression finds in the clip's file name.

    Raises:
        DataError: not a regular expression, it has no group, or it does not match.
    """
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DataError(f"data.group_pattern is not a regular expression: {error}") from error
    if compiled.groups < 1:
        raise DataError(f"data.group_pattern needs one group in parentheses, got {pattern!r}")
    match = compiled.search(Path(name).name)
    if match is None or not match.group(1):
        problem = "does not match" if match is None else "finds an empty group in"
        raise DataError(f"data.group_pattern {pattern!r} {problem} the clip {name}")
    return match.group(1)


def with_groups(dataset: VideoDataset, pattern: str | None) -> VideoDataset:
    """The same clips with the groups that a pattern finds; without a pattern they are unchanged.

    Raises:
        DataError: see :func:`group_of`.
    """
    if pattern is None:
        return dataset
    clips = tuple(replace(clip, group=group_of(pattern, clip.video)) for clip in dataset.clips)
    return replace(dataset, clips=clips)


def shorten(names: Sequence[str], limit: int = 5) -> str:
    """The first names, and the number of the others."""
    shown = ", ".join(names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
