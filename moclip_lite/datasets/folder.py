"""Class folders: ``root/<class>/<clip>``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..errors import DataError
from .base import Clip, VideoDataset, group_of, shorten
from .manifest import MANIFEST, prepared_root, read_manifest
from .walk import left_out, subfolders, video_files

__all__ = ["load_folder"]

_PARTS: Final = frozenset(("train", "training", "val", "valid", "validation", "dev", "test", "testing"))


def load_folder(root: Path, *, group_pattern: str | None = None, skip_missing: bool = False) -> VideoDataset:
    """Read a tree of class folders.

    Args:
        root: holds a folder per class; hidden files and folders are passed over. The one recipe's
            folder in it is taken where `prepare` made one.
        group_pattern: regular expression with one group, searched in each clip's file name; without
            one the groups are those of the folder's manifest, where there is one.
        skip_missing: leave out classes without clips instead of refusing them.

    Raises:
        DataError: no such folder, no classes, a class without clips, or a pattern that fails.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder (data.root)")
    root = prepared_root(root)
    groups = _manifest_groups(root) if group_pattern is None else {}
    folders = subfolders(root)
    if not folders:
        raise DataError(f"{root}: holds no class folders; the layout is {root}/<class>/<clip>")
    _refuse_divided(root, folders)
    clips: list[Clip] = []
    empty: list[str] = []
    for folder in folders:
        files = video_files(folder)
        if not files:
            empty.append(folder.name)
        for path in files:
            name = path.relative_to(root).as_posix()
            clips.append(Clip(path, name, folder.name, groups.get(name) or group_of(group_pattern, name)))
    if empty and (not skip_missing or not clips):
        raise DataError(
            f"{root}: {len(empty)} class folder(s) hold no video: {shorten(empty)}; "
            "add clips, remove the folders, or pass --skip-missing"
        )
    labels = tuple(folder.name for folder in folders if folder.name not in empty)
    notes: tuple[str, ...] = (f"left out, no clips: {shorten(empty)}",) if empty else ()
    others = left_out(root)
    if others:
        counted = shorten([f"{ending} ({count})" for ending, count in others.items()], 12)
        notes += (f"left out, endings that are not taken for videos: {counted}",)
    return VideoDataset(root, tuple(clips), labels, notes=notes)


def _refuse_divided(root: Path, folders: Sequence[Path]) -> None:
    """Folders named train and test that hold the classes are a division, not classes.

    Raises:
        DataError: the tree is divided so.
    """
    parts = [folder for folder in folders if folder.name.lower() in _PARTS]
    if len(parts) > 1 and all(
        subfolders(folder) and all(path.parent != folder for path in video_files(folder)) for folder in parts
    ):
        names = ", ".join(folder.name for folder in parts)
        raise DataError(
            f"{root}: {names} lie above the classes; a division by folders is not read. Put the clips of all parts "
            f"into {root}/<class>/ and name the division by lists (data.kind=ucf101, data.splits_dir=DIR, "
            f"data.protocol=official), or take one part alone, such as {parts[0]}"
        )


def _manifest_groups(root: Path) -> dict[str, str]:
    """Clip path -> group, as far as the folder's manifest knows."""
    if not (root / MANIFEST).is_file():
        return {}
    return {row.path: row.group for row in read_manifest(root) if row.group}
