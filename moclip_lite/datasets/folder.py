"""Class folders: ``root/<class>/<clip>``."""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError
from .base import VIDEO_SUFFIXES, Clip, VideoDataset, group_of, shorten
from .manifest import MANIFEST, prepared_root, read_manifest

__all__ = ["load_folder"]


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
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not folders:
        raise DataError(f"{root}: holds no class folders; the layout is {root}/<class>/<clip>")
    clips: list[Clip] = []
    empty: list[str] = []
    for folder in folders:
        files = sorted(
            p
            for p in folder.rglob("*")
            if p.is_file() and p.suffix.lower() in VIDEO_SUFFIXES and not p.name.startswith(".")
        )
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
    notes = (f"left out, no clips: {shorten(empty)}",) if empty else ()
    return VideoDataset(root, tuple(clips), labels, notes=notes)


def _manifest_groups(root: Path) -> dict[str, str]:
    """Clip path -> group, as far as the folder's manifest knows."""
    if not (root / MANIFEST).is_file():
        return {}
    return {row.path: row.group for row in read_manifest(root) if row.group}
