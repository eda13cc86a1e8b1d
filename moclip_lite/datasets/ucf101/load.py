"""Clips of UCF101: a tree of .avi files (as published) or .mp4 files (transcoded) under official lists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from ...errors import DataError
from ..clip import Clip, VideoDataset, shorten, with_groups
from ..manifest import MANIFEST, dataset_of, prepared_root, read_manifest
from ..walk import is_file, subfolders, video_files
from .lists import group_in_name, read_lists

__all__ = ["load_ucf101"]

_SUFFIXES: Final = (".avi", ".mp4", ".mkv")


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
        group_pattern: regular expression with one group, searched in each clip's file name; without one the
            groups are those of the folder's manifest, else those in UCF101's file names.

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
                "data.splits_dir is not set and data.root was not prepared by moclip; "
                "name the folder of trainlist01.txt and the others"
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
            raise DataError(f"{problem}; {_hint(root, absent)}pass --skip-missing to continue without them")
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
    """Listed clips that are present, and absent names; letter case may differ where the name is absent."""
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
