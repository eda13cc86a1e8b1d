"""Class folders: ``root/<class>/<clip>``, or ``root/<train, val or test>/<class>/<clip>``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ..errors import DataError
from ..storage.names import printable
from .clip import Clip, VideoDataset, group_of, require_distinct, shorten
from .manifest import MANIFEST, prepared_root, read_manifest
from .walk import find_videos, merge_listings, subfolders

__all__ = ["folder_part", "load_folder"]

_SPELLINGS: Final = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
_PARTS: Final = {spelling: part for part, spellings in _SPELLINGS.items() for spelling in spellings}
_SPLIT: Final = "split1"  # name of the split that the folders define


def folder_part(name: str) -> str | None:
    """The part of a split that a folder's name stands for: "train", "val" or "test"; None for other names."""
    return _PARTS.get(name.lower())


def load_folder(
    root: Path | str, *, group_pattern: str | None = None, skip_missing: bool = False
) -> VideoDataset:
    """Read a tree of class folders.

    Folders named train, test and optionally val above the classes are the data set's official split;
    without val, validation is cut from train.

    Args:
        root: holds a folder per class; hidden files and folders are ignored. A folder that `prepare` made
            for one recipe is found in it.
        group_pattern: regular expression with one group, searched in each clip's file name; without
            one the groups are those of the folder's manifest, if it has one.
        skip_missing: leave out classes without clips instead of refusing them.

    Raises:
        DataError: no such folder, no classes, a class without clips, a pattern that fails, `root` one level
            too high or too low, or folders of a split beside classes.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder (data.root)")
    root = prepared_root(root)
    folders = subfolders(root)
    loose = find_videos(root, deep=False).videos
    if not folders:
        hint = f"; it holds {len(loose)} videos itself: name the folder above, {root.parent}" if loose else ""
        raise DataError(f"{root}: holds no class folders; the layout is {root}/<class>/<clip>{hint}")
    parts = _parts(root, folders)
    if parts:
        folders = [folder for part in parts.values() for folder in subfolders(part)]
    elif not loose:
        _check_level(root, folders)
    dataset = _labelled_clips(root, folders, group_pattern, skip_missing)
    if loose:
        note = f"left out, {len(loose)} video(s) that lie beside the class folders: {shorten(_names(loose))}"
        dataset = replace(dataset, notes=(*dataset.notes, note))
    return _with_split(dataset, parts) if parts else dataset


def _labelled_clips(
    root: Path, folders: Sequence[Path], group_pattern: str | None, skip_missing: bool
) -> VideoDataset:
    """The videos in class folders, labelled by their folder."""
    require_distinct((printable(folder.name), Path(folder.name)) for folder in folders)
    groups = _manifest_groups(root) if group_pattern is None else {}
    listings = {folder: find_videos(folder) for folder in folders}
    clips: list[Clip] = []
    for folder, listing in listings.items():
        for path in listing.videos:
            name, label = printable(path.relative_to(root).as_posix()), printable(folder.name)
            clips.append(Clip(path, name, label, groups.get(name) or group_of(group_pattern, name)))
    labels = {clip.label for clip in clips}
    empty = sorted({printable(folder.name) for folder in folders} - labels)
    notes = list(merge_listings(listings.values()).notes())
    if empty and (not skip_missing or not clips):
        reasons = "; ".join(("", *notes))
        raise DataError(
            f"{root}: {len(empty)} class folder(s) hold no video: {shorten(empty)}; "
            f"add clips, remove the folders, or pass --skip-missing{reasons}"
        )
    if empty:
        notes.insert(0, f"left out, no clips: {shorten(empty)}")
    return VideoDataset(root, tuple(clips), tuple(sorted(labels)), notes=tuple(notes))


def _parts(root: Path, folders: Sequence[Path]) -> dict[str, Path]:
    """ "train", "test" and optionally "val" -> its folder above the classes; empty without such folders.

    Raises:
        DataError: they are mixed with classes or videos, or one is absent.
    """
    named = [(folder, _PARTS[folder.name.lower()]) for folder in folders if folder.name.lower() in _PARTS]
    parts = {part: folder for folder, part in named}
    if len(parts) < 2:
        return {}  # a single one is the name of a class
    layout = f"the layout is {root}/train/<class>/<clip>, and so for test and val"
    others = _names([folder for folder in folders if folder.name.lower() not in _PARTS])
    if others:
        raise DataError(
            f"{root}: the folders {shorten(_names([f for f, _ in named]))} of a split stand beside others "
            f"({shorten(others)}); {layout}, or rename them if they are classes"
        )
    if len(parts) < len(named):
        raise DataError(f"{root}: two folders for one part of a split: {shorten(_names(folders))}; {layout}")
    for part, folder in parts.items():
        if find_videos(folder, deep=False).videos or not subfolders(folder):
            raise DataError(
                f"{folder}: the folder of the {part} split holds videos and no class folders, or nothing; "
                f"{layout}, or rename it if it is a class"
            )
    absent = [part for part in ("train", "test") if part not in parts]
    if absent:
        raise DataError(
            f"{root}: there are folders {' and '.join(_names(folders))} but none for {absent[0]}; {layout}"
        )
    return {part: parts[part] for part in ("train", "val", "test") if part in parts}


def _with_split(dataset: VideoDataset, parts: Mapping[str, Path]) -> VideoDataset:
    """The data set with the split that the folders above the classes define."""
    names = {
        part: frozenset(c.name for c in dataset.clips if c.path.is_relative_to(folder))
        for part, folder in parts.items()
    }
    counts = ", ".join(f"{len(clips)} {part}" for part, clips in names.items())
    note = f"divided by the folders above the classes: {counts}"
    validation = {_SPLIT: names["val"]} if "val" in names else {}
    return replace(
        dataset,
        official={_SPLIT: (names["train"], names["test"])},
        validation=validation,
        notes=(*dataset.notes, note + ("" if validation else "; validation is cut from train")),
    )


def _check_level(root: Path, folders: Sequence[Path]) -> None:
    """Refuse a root that is one level too high.

    Raises:
        DataError: its only folder holds the class folders.
    """
    if len(folders) != 1 or find_videos(folders[0], deep=False).videos:
        return
    classes = [folder for folder in subfolders(folders[0]) if find_videos(folder).videos]
    if len(classes) > 1:
        raise DataError(
            f"{root}: one level too high, its only folder {folders[0].name} holds "
            f"{shorten(_names(classes))}; name {folders[0]}"
        )


def _names(paths: Sequence[Path]) -> list[str]:
    return [printable(path.name) for path in paths]


def _manifest_groups(root: Path) -> dict[str, str]:
    """Clip path -> group, from the folder's manifest; empty without one."""
    if not (root / MANIFEST).is_file():
        return {}
    return {row.path: row.group for row in read_manifest(root) if row.group}
