"""Local copies of folders at URLs: where they lie, and those that are read."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from filelock import FileLock

from mv_tools import SourceChanged
from mv_tools.urls import is_url, spelled

from ..errors import CheckpointError
from .cache import default_cache_dir
from .digest import digest_bytes
from .objects import ObjectFolder, Version

__all__ = ["belongs", "fetch_files", "place_of", "remove_unused", "snapshot", "state_of", "working_copy"]

_KEPT_SECONDS: Final = 7 * 86_400.0  # of copies that nobody read
_LOCAL: Final = ("run.lock",)  # files that concern this machine alone

Files = Mapping[str, Version]


def place_of(url: str) -> Path:
    """Where the copies of a URL lie."""
    return default_cache_dir() / "copies" / digest_bytes([url.encode()])[:16]


def _tail_of(url: str) -> Path:
    """The last two names of a URL, by which people know a folder: reports and comparisons show them."""
    names = [name for name in url.partition("://")[2].split("/") if name not in ("", ".", "..")]
    return Path(*names[-2:])


def working_copy(path: Path) -> Path:
    """The local folder that is worked in for a path: a URL's, whether or not it is there; else the path."""
    if not is_url(path):
        return path
    url = spelled(path).rstrip("/")
    return place_of(url) / "work" / _tail_of(url)


def snapshot(path: Path) -> Path:
    """A local copy of a folder at a URL as it is now, to be read; a local folder as it is.

    Raises:
        CheckpointError: there is none, or it changes while it is copied.
        OSError: it can't be read.
    """
    if not is_url(path):
        return path
    remote = ObjectFolder.at(path)
    files = state_of(remote)
    if not files:
        raise CheckpointError(f"{remote.url} holds no files; is it the URL of a folder?")
    content = json.dumps({name: vars(version) for name, version in files.items()}, sort_keys=True)
    place = place_of(remote.url)
    folder = place / digest_bytes([content.encode()])[:16]
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / "snapshot.lock"):
        if not folder.is_dir():
            draft = place / f".{folder.name}"
            shutil.rmtree(draft, ignore_errors=True)
            try:
                fetch_files(remote, draft / _tail_of(remote.url), files)
                draft.rename(folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
            remove_unused(place)
        os.utime(folder)
    return folder / _tail_of(remote.url)


def fetch_files(remote: ObjectFolder, folder: Path, files: Files) -> None:
    """Copy objects that have these versions.

    Raises:
        CheckpointError: they changed.
    """
    try:
        for name, version in files.items():
            if remote.fetch(name, folder / name) != version:
                raise SourceChanged(name)
    except (SourceChanged, FileNotFoundError) as error:
        raise CheckpointError(f"{remote.url} was changed while it was copied; start again") from error


def remove_unused(place: Path) -> None:
    """Remove copies that were not used for a week; not the one that is worked in."""
    limit = time.time() - _KEPT_SECONDS
    for folder in place.iterdir() if place.is_dir() else ():
        if folder.is_dir() and folder.name != "work" and folder.stat().st_mtime < limit:
            shutil.rmtree(folder, ignore_errors=True)


def state_of(remote: ObjectFolder) -> dict[str, Version]:
    """Names and versions of the files at a URL; its lock and what begins with a dot are none."""
    return remote.versions(name for name in remote.names() if belongs(Path(name)))


def belongs(name: Path) -> bool:
    return not any(part.startswith(".") for part in name.parts) and name.name not in _LOCAL
