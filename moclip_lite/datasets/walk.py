"""Finding video files below a folder: one rule for every command that reads folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..storage.names import printable

__all__ = ["VIDEO_SUFFIXES", "Found", "find_videos", "is_file", "is_hidden", "subfolders", "video_files"]

VIDEO_SUFFIXES: Final = frozenset(
    f".{ending}"
    for line in (
        "264 265 266 302 3g2 3gp amv asf av1 avc avi avs2 avs3 bik cif dav dif divx dnxhd dnxhr drc dv",
        "evc f4v flv gxf h261 h263 h264 h265 h266 h26l hevc ifv imx ipu ism ismv ivf ivr kux lvf m1v",
        "m2t m2ts m2v m4v mj2 mjpeg mjpg mk3d mkv mod moflex mov mp4 mpe mpeg mpg mpv mts mxf mxg nsv",
        "nut obu ogm ogv psp qcif qt rcv rm rmvb roq smk tod trp ts ty ty+ usm vc1 vc2 viv vob vro vvc",
        "webm wmv wtv xmv y4m yop",
    )
    for ending in line.split()
)
"""Endings that are taken for a video's, in small letters; sound, still and moving pictures (.gif) are not."""

_LITTER: Final = frozenset(("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found"))
_SHOWN: Final = 8  # endings that a sentence names


@dataclass(frozen=True)
class Found:
    """What lies below a folder.

    Attributes:
        videos: files that end like videos, sorted; links that lead nowhere among them.
        others: (ending, number) of the files that do not, most frequent first; "" for no ending.
        unread: (folder, reason) of the folders that could not be listed.
    """

    videos: tuple[Path, ...]
    others: tuple[tuple[str, int], ...] = ()
    unread: tuple[tuple[Path, str], ...] = ()

    def notes(self) -> tuple[str, ...]:
        """Sentences about what was left out."""
        said = []
        if self.others:
            count = sum(number for _, number in self.others)
            kinds = [f"{number} {ending or 'without ending'}" for ending, number in self.others]
            more = f" and {len(kinds) - _SHOWN} other endings" if len(kinds) > _SHOWN else ""
            said.append(
                f"left out, {count} file(s) that do not end like videos: {', '.join(kinds[:_SHOWN])}{more}"
            )
        said += [f"left out, the folder {printable(str(path))}: {reason}" for path, reason in self.unread]
        return tuple(said)


def is_hidden(name: str) -> bool:
    """Whether files and folders of this name are passed over: ``.x``, ``._x.mp4``, ``__MACOSX`` and the like."""
    return name.startswith(".") or name.lower() in _LITTER


def is_file(path: Path) -> bool:
    """Whether there is such a file; False for names that no file can have, too."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def subfolders(root: Path) -> list[Path]:
    """The folders in a folder that are not hidden, sorted; links to folders count."""
    return sorted(path for path in root.iterdir() if path.is_dir() and not is_hidden(path.name))


def find_videos(root: Path, *, deep: bool = True) -> Found:
    """Videos below a folder; hidden ones are left out, and links are followed unless they lead in a circle.

    Args:
        root: the folder; its own name does not matter.
        deep: look into the folders in it too.
    """
    videos: list[Path] = []
    others: Counter[str] = Counter()
    unread: list[tuple[Path, str]] = []
    above = tuple(map(_identity, root.resolve().parents))
    for path in _files(root, above, deep, unread):
        suffix = path.suffix.lower()
        if suffix in VIDEO_SUFFIXES:
            videos.append(path)
        else:
            others[printable(suffix)] += 1
    ranked = sorted(others.items(), key=lambda pair: (-pair[1], pair[0]))
    return Found(tuple(sorted(videos)), tuple(ranked), tuple(sorted(unread)))


def video_files(root: Path) -> list[Path]:
    """Videos below a folder, sorted.

    Raises:
        OSError: a folder can't be listed.
    """
    found = find_videos(root)
    for path, reason in found.unread:
        raise OSError(0, reason, str(path))
    return list(found.videos)


def _files(
    folder: Path, above: tuple[tuple[int, int], ...], deep: bool, unread: list[tuple[Path, str]]
) -> Iterator[Path]:
    """Files below a folder; `above` are the device and inode of the folders that lead to it."""
    try:
        here = (*above, _identity(folder))
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except FileNotFoundError:  # gone meanwhile
        return
    except OSError as error:
        unread.append((folder, error.strerror or type(error).__name__))
        return
    if here[-1] in above:
        return  # a link to a folder that holds it: its files are found there
    for entry in entries:
        if is_hidden(entry.name):
            continue
        path = folder / entry.name
        if _is_folder(entry):
            if deep:
                yield from _files(path, here, deep, unread)
        elif _is_file(entry):
            yield path


def _identity(folder: Path) -> tuple[int, int]:
    stat = folder.stat()
    return stat.st_dev, stat.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to where nobody may look
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Regular files, and links that lead nowhere: who reads those is told so."""
    try:
        return entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists())
    except OSError:
        return entry.is_symlink()
