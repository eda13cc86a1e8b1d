"""Data sets at URLs: class folders are listed, and videos read by ranges where they lie."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Final

from mv_tools.urls import url_of

from ..errors import DataError
from ..storage.objects import ObjectFolder
from .clip import Clip, VideoDataset, group_of
from .folder import folder_part
from .walk import VIDEO_SUFFIXES

__all__ = ["load_remote_folder"]

_SPLIT: Final = "split1"


def load_remote_folder(root: Path, *, group_pattern: str | None = None) -> VideoDataset:
    """Read a tree of class folders at a URL, as :func:`moclip_lite.datasets.load_folder` reads a local one.

    Args:
        root: the URL, as a path holds it.
        group_pattern: regular expression with one group, on file names.

    Raises:
        DataError: no videos below it, videos outside of class folders, or a pattern that fails.
        OSError: it can't be listed.
        mv_tools.BackendUnavailable: a package is missing.
    """
    url = url_of(root)
    if url is None:
        raise DataError(f"{root}: not a URL that can be read")
    clips: list[Clip] = []
    parts: dict[str, set[str]] = {}
    folder = ObjectFolder(url)
    names = [name for name in map(PurePosixPath, folder.names()) if not _hidden(name)]
    videos = [name for name in names if name.suffix.lower() in VIDEO_SUFFIXES]
    divided = bool(videos) and all(len(name.parts) > 2 and folder_part(name.parts[0]) for name in videos)
    for name in videos:
        if len(name.parts) < 2 + divided:
            raise DataError(f"{url}: {name} lies in no class folder; the layout is {url}/<class>/<clip>")
        text = name.as_posix()
        clips.append(
            Clip(folder.path_of(text), text, name.parts[int(divided)], group_of(group_pattern, text))
        )
        if divided:
            parts.setdefault(folder_part(name.parts[0]) or "", set()).add(text)
    if not clips:
        raise DataError(f"{url}: holds no videos; the layout is {url}/<class>/<clip>")
    if divided and not {"train", "test"} <= set(parts):
        raise DataError(
            f"{url}: folders of a split need both train and test, found {', '.join(sorted(parts))}"
        )
    official = {_SPLIT: (frozenset(parts["train"]), frozenset(parts["test"]))} if divided else {}
    validation = {_SPLIT: frozenset(parts["val"])} if "val" in parts else {}
    left_out = len(names) - len(videos)
    notes = (f"left out, {left_out} object(s) that do not end like videos",) if left_out else ()
    labels = tuple(sorted({clip.label for clip in clips}))
    return VideoDataset(root, tuple(clips), labels, official, notes, validation)


def _hidden(name: PurePosixPath) -> bool:
    return any(part.startswith(".") for part in name.parts)
