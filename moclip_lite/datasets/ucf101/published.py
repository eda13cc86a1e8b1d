"""Comparison of lists and clips with UCF101 as it was published."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from ...errors import DataError
from ..clip import shorten
from ..walk import video_files
from .lists import GROUP_PATTERN, SplitLists, group_in_name

__all__ = ["OFFICIAL", "check_tree"]

OFFICIAL: Final = {"clips": 13_320, "classes": 101, "groups": 25}


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
            f"the lists name {counts['clips']:,} clips of {counts['classes']} classes, "
            f"UCF101's name {OFFICIAL['clips']:,}: a list is cut short or of another version; "
            "--skip-missing continues with these"
        )
    sentences = []
    if counts != OFFICIAL:
        sentences.append(
            f"not the whole of UCF101: the lists name {counts['clips']:,} clips of {counts['classes']} "
            f"classes in up to {most_groups} groups a class; published are {OFFICIAL['clips']:,}, "
            f"{OFFICIAL['classes']} and {OFFICIAL['groups']}"
        )
    expected = set(range(1, OFFICIAL["groups"] + 1))
    short = [f"{label} ({len(numbers)})" for label, numbers in groups.items() if numbers != expected]
    if short and most_groups == OFFICIAL["groups"]:
        sentences.append(f"{len(short)} classes do not have the groups g01 to g25: {shorten(short)}")
    return sentences
