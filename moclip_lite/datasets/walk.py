"""The one way to look for videos in a folder.

Left out everywhere: hidden files and folders (``._x.mp4`` that macOS leaves on other disks among them) and
``__MACOSX`` folders of its archives.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["VIDEO_SUFFIXES", "left_out", "subfolders", "video_files"]

VIDEO_SUFFIXES: Final = frozenset(
    f".{ending}"
    for ending in [
        "264",
        "265",
        "266",
        "302",
        "3g2",
        "3gp",
        "amv",
        "asf",
        "av1",
        "avc",
        "avi",
        "avs2",
        "avs3",
        "bik",
        "cif",
        "dav",
        "dif",
        "divx",
        "dv",
        "evc",
        "f4v",
        "flv",
        "gxf",
        "h261",
        "h263",
        "h264",
        "h265",
        "h266",
        "h26l",
        "hevc",
        "ifv",
        "imx",
        "ipu",
        "ism",
        "ismv",
        "ivf",
        "ivr",
        "kux",
        "lvf",
        "m1v",
        "m2t",
        "m2ts",
        "m2v",
        "m4v",
        "mj2",
        "mjpeg",
        "mjpg",
        "mk3d",
        "mkv",
        "mod",
        "moflex",
        "mov",
        "mp4",
        "mpe",
        "mpeg",
        "mpg",
        "mpv",
        "mts",
        "mxf",
        "mxg",
        "nsv",
        "nut",
        "obu",
        "ogm",
        "ogv",
        "qcif",
        "qt",
        "rcv",
        "rm",
        "rmvb",
        "roq",
        "smk",
        "tod",
        "trp",
        "ts",
        "ty",
        "ty+",
        "usm",
        "vc1",
        "viv",
        "vob",
        "vro",
        "vvc",
        "webm",
        "wmv",
        "wtv",
        "xmv",
        "y4m",
        "yop",
    ]
)
"""Endings that are taken for a video's, in lower case."""


@cache
def _other_suffixes() -> frozenset[str]:
    """Endings that libavformat reads and that are not taken for a video's: sound, subtitles, pictures."""
    import av.format

    found: set[str] = set()
    for name in av.format.formats_available:
        try:
            found |= av.format.ContainerFormat(name, "r").extensions
        except ValueError:  # one that only writes
            continue
    return frozenset(f".{ending}" for ending in found) - VIDEO_SUFFIXES


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _files(folder: Path) -> Iterator[Path]:
    """Files below a folder; links to folders are followed, but never in a circle."""

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # gone meanwhile
            raise error

    above: dict[str, tuple[str, ...]] = {str(folder): (os.path.realpath(folder),)}
    for place, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        real = above.pop(place)
        kept = []
        for name in folders:
            inside = os.path.realpath(os.path.join(place, name))  # noqa: PTH118
            circle = inside in real or Path(real[-1]).is_relative_to(inside)
            if not _hidden(name) and not circle:
                kept.append(name)
                above[os.path.join(place, name)] = (*real, inside)  # noqa: PTH118
        folders[:] = kept
        for name in names:
            if not _hidden(name):
                yield Path(place, name)


def video_files(folder: Path) -> list[Path]:
    """Videos below a folder, sorted.

    Raises:
        OSError: a folder can't be read.
    """
    return sorted(p for p in _files(folder) if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())


def subfolders(folder: Path) -> list[Path]:
    """Folders right in a folder, sorted."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not _hidden(p.name))


def left_out(folder: Path) -> dict[str, int]:
    """Files below a folder that libavformat may read and that are not taken for videos: ending -> how many."""
    found = Counter(p.suffix.lower() for p in _files(folder) if p.suffix.lower() in _other_suffixes())
    return dict(sorted(found.items()))
