"""Class folders: ``root/<class>/<clip>``, or ``root/<train, val or test>/<class>/<clip>``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ..errors import DataError
from ..storage.names import printable
from .clip import (
    Clip,
    VideoDataset,
    group_of,
    shorten,
)
from .table import MANIFEST, prepared_root, read_manifest
from .walk import Found, find_videos, subfolders

__all__ = ["load_folder"]

_PARTS: Final = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_SPLIT: Final = "split1"  # what the division by folders is called


def load_folder(root: Path, *, group_pattern: str | None = None, skip_missing: bool = False) -> VideoDataset:
    """Read a tree of class folders.

    Where folders called train, test and perhaps val stand above the classes, they are the data set's official
    split; without val, validation is cut from train.

    Args:
        root: holds a folder per class; hidden files and folders are passed over. The one recipe's
            folder in it is taken where `prepare` made one.
        group_pattern: regular expression with one group, searched in each clip's file name; without
            one the groups are those of the folder's manifest, where there is one.
        skip_missing: leave out classes without clips instead of refusing them.

    Raises:
        DataError: no such folder, no classes, a class without clips, a pattern that fails, `root` one level too
            high or too low, or folders of a split beside classes.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder (data.root)")
    root = prepared_root(root)
    folders = subfolders(root)
    stray = find_videos(root, deep=False).videos
    if not folders:
        hint = f"; it holds {len(stray)} videos itself: name the folder above, {root.parent}" if stray else ""
        raise DataError(f"{root}: holds no class folders; the layout is {root}/<class>/<clip>{hint}")
    parts = _parts(root, folders)
    if parts:
        folders = [folder for part in parts.values() for folder in subfolders(part)]
    elif not stray:
        _check_level(root, folders)
    found = {folder: find_videos(folder) for folder in folders}
    dataset = _dataset(root, found, group_pattern, skip_missing)
    if stray:
        note = f"left out, {len(stray)} video(s) that lie beside the class folders: {shorten(_names(stray))}"
        dataset = replace(dataset, notes=(*dataset.notes, note))
    return _divided(dataset, root, parts) if parts else dataset


def _dataset(
    root: Path, found: Mapping[Path, Found], group_pattern: str | None, skip_missing: bool
) -> VideoDataset:
    groups = _manifest_groups(root) if group_pattern is None else {}
    clips: list[Clip] = []
    for folder, videos in found.items():
        for path in videos.videos:
            name, label = printable(path.relative_to(root).as_posix()), printable(folder.name)
            clips.append(Clip(path, name, label, groups.get(name) or group_of(group_pattern, name)))
    full = {clip.label for clip in clips}
    empty = sorted({printable(folder.name) for folder in found} - full)
    notes = list(_joined(found.values()).notes())
    if empty and (not skip_missing or not clips):
        here = "; ".join(("", *notes))
        raise DataError(
            f"{root}: {len(empty)} class folder(s) hold no video: {shorten(empty)}; "
            f"add clips, remove the folders, or pass --skip-missing{here}"
        )
    if empty:
        notes.insert(0, f"left out, no clips: {shorten(empty)}")
    return VideoDataset(root, tuple(clips), tuple(sorted(full)), notes=tuple(notes))


def _joined(found: Iterable[Found]) -> Found:
    """All folders' findings as one."""
    everything = list(found)
    counts: dict[str, int] = {}
    for ending, number in (pair for one in everything for pair in one.others):
        counts[ending] = counts.get(ending, 0) + number
    ranked = tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
    return Found((), ranked, tuple(pair for one in everything for pair in one.unread))


def _parts(root: Path, folders: Sequence[Path]) -> dict[str, Path]:
    """ "train", "test" and perhaps "val" -> folder, where these stand above the classes; nothing where not.

    Raises:
        DataError: they are mixed with classes or videos, or one is absent.
    """
    named = [(folder, _PARTS[folder.name.lower()]) for folder in folders if folder.name.lower() in _PARTS]
    parts = {part: folder for folder, part in named}
    if len(parts) < 2:
        return {}  # a single one is a class: trains, say
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
                f"{folder}: the folder of the {part} split holds videos and no class folders, or nothing; {layout}, "
                "or rename it if it is a class"
            )
    absent = [part for part in ("train", "test") if part not in parts]
    if absent:
        raise DataError(
            f"{root}: there are folders {' and '.join(_names(folders))} but none for {absent[0]}; {layout}"
        )
    return {part: parts[part] for part in ("train", "val", "test") if part in parts}


def _divided(dataset: VideoDataset, root: Path, parts: Mapping[str, Path]) -> VideoDataset:
    names = {
        part: frozenset(c.name for c in dataset.clips if c.path.is_relative_to(folder))
        for part, folder in parts.items()
    }
    counted = ", ".join(f"{len(found)} {part}" for part, found in names.items())
    note = f"divided by the folders above the classes: {counted}"
    cut = {} if "val" not in names else {_SPLIT: names["val"]}
    return replace(
        dataset,
        official={_SPLIT: (names["train"], names["test"])},
        validation=cut,
        notes=(*dataset.notes, note + ("" if cut else "; validation is cut from train")),
    )


def _check_level(root: Path, folders: Sequence[Path]) -> None:
    """Refuse a root whose one folder holds the class folders.

    Raises:
        DataError: it does.
    """
    if len(folders) != 1 or find_videos(folders[0], deep=False).videos:
        return
    full = [folder for folder in subfolders(folders[0]) if find_videos(folder).videos]
    if len(full) > 1:
        raise DataError(
            f"{root}: one level too high, its only folder {folders[0].name} holds "
            f"{shorten(_names(full))}; name {folders[0]}"
        )


def _names(paths: Sequence[Path]) -> list[str]:
    return [printable(path.name) for path in paths]


def _manifest_groups(root: Path) -> dict[str, str]:
    """Clip path -> group, as far as the folder's manifest knows."""
    if not (root / MANIFEST).is_file():
        return {}
    return {row.path: row.group for row in read_manifest(root) if row.group}
