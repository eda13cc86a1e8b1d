"""Search for video files below a folder, with one rule for every command that reads folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Final, TypeAlias

from ..storage.names import printable

__all__ = [
    "VIDEO_SUFFIXES",
    "FolderListing",
    "find_videos",
    "is_file",
    "is_hidden",
    "lies_within",
    "merge_listings",
    "subfolders",
    "video_files",
]

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
"""Suffixes of video files, in lower case; those of sound, images and .gif are not among them."""

_SYSTEM_FOLDERS: Final = frozenset(
    ("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found")
)
_MAX_NAMED: Final = 8  # suffixes that a sentence names

_Identity: TypeAlias = "tuple[int, int] | None"  # device and inode; None of a folder that can't be looked at


@dataclass(frozen=True)
class FolderListing:
    """Files below a folder.

    Attributes:
        videos: files with the suffix of a video, sorted; broken links among them.
        others: (suffix, number) of the other files, most frequent first; "" for no suffix.
        unread: (folder, reason) of the folders that could not be listed.
    """

    videos: tuple[Path, ...]
    others: tuple[tuple[str, int], ...] = ()
    unread: tuple[tuple[Path, str], ...] = ()

    def notes(self) -> tuple[str, ...]:
        """Sentences about the files and folders that were left out."""
        sentences = []
        if self.others:
            count = sum(number for _, number in self.others)
            kinds = [f"{number} {suffix or 'without ending'}" for suffix, number in self.others]
            more = f" and {len(kinds) - _MAX_NAMED} other endings" if len(kinds) > _MAX_NAMED else ""
            named = ", ".join(kinds[:_MAX_NAMED])
            sentences.append(f"left out, {count} file(s) that do not end like videos: {named}{more}")
        sentences += [
            f"left out, the folder {printable(str(path))}: {reason}" for path, reason in self.unread
        ]
        return tuple(sentences)


def merge_listings(listings: Iterable[FolderListing]) -> FolderListing:
    """The files of several folders as one listing."""
    merged = list(listings)
    others: Counter[str] = Counter()
    for listing in merged:
        others.update(dict(listing.others))
    videos = sorted(path for listing in merged for path in listing.videos)
    return FolderListing(
        tuple(videos), _ranked(others), tuple(row for listing in merged for row in listing.unread)
    )


def _ranked(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    """The most frequent first, then by name."""
    return tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def is_hidden(name: str) -> bool:
    """Whether files and folders of this name are ignored: ``.x``, ``._x.mp4``, ``__MACOSX`` and so on."""
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS


def lies_within(root: Path, folder: Path) -> bool:
    """Whether a folder, there or not, is searched with `root`: it is that or below it, and not hidden."""
    place, above = folder.resolve(), root.resolve()
    return place.is_relative_to(above) and not any(map(is_hidden, place.relative_to(above).parts))


def is_file(path: Path) -> bool:
    """Whether the file exists; False for impossible names too."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def subfolders(root: Path) -> list[Path]:
    """Folders in a folder that are not hidden, sorted; links are followed unless they are circular."""
    above = _leading_to(root)
    return sorted(
        path
        for path in root.iterdir()
        if path.is_dir() and not is_hidden(path.name) and _identity(path) not in above
    )


def find_videos(root: Path, *, deep: bool = True) -> FolderListing:
    """List the videos below a folder, hidden ones excluded; links are followed unless they are circular.

    Args:
        root: the folder; it may be hidden itself.
        deep: also search its subfolders.
    """
    videos: list[Path] = []
    others: Counter[str] = Counter()
    unread: list[tuple[Path, str]] = []
    for path in _files(root, _leading_to(root), deep, unread):
        suffix = path.suffix.lower()
        if suffix in VIDEO_SUFFIXES:
            videos.append(path)
        else:
            others[printable(suffix)] += 1
    return FolderListing(tuple(sorted(videos)), _ranked(others), tuple(sorted(unread)))


def video_files(root: Path) -> list[Path]:
    """Videos below a folder, sorted.

    Raises:
        OSError: a folder can't be listed.
    """
    listing = find_videos(root)
    for path, reason in listing.unread:
        raise OSError(0, reason, str(path))
    return list(listing.videos)


def _files(
    folder: Path, above: frozenset[_Identity], deep: bool, unread: list[tuple[Path, str]]
) -> Iterator[Path]:
    """Files below a folder; `above` are the folder and those that lead to it."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except FileNotFoundError:  # removed meanwhile
        return
    except OSError as error:
        unread.append((folder, error.strerror or type(error).__name__))
        return
    for entry in entries:
        if is_hidden(entry.name):
            continue
        path = folder / entry.name
        if _is_folder(entry):
            if deep and (identity := _identity(path)) not in above:  # else its files are listed there
                yield from _files(path, above | {identity}, deep, unread)
        elif _is_file(entry):
            yield path


def _leading_to(root: Path) -> frozenset[_Identity]:
    """A folder and those above it: the parents in its path, which may hold links, and those on the disk."""
    named = takewhile(lambda path: path.name != "..", root.absolute().parents)
    return frozenset(map(_identity, (root, *named, *root.resolve().parents))) - {None}


def _identity(folder: Path) -> _Identity:
    try:
        stat = folder.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself or to an unreadable place
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a regular file or a broken link; reading the latter raises the reason."""
    try:
        return entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists())
    except OSError:
        return entry.is_symlink()
