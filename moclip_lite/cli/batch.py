"""Shared by commands over many files: listing of files, and report of those without an answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import typer

from mv_tools.urls import ServerFailure

from ..storage.names import named_reason, printable
from .console import err, explain

__all__ = ["Refusal", "end_batch", "files_of", "refusal", "refusal_of"]

Refusal: TypeAlias = tuple[Path, str]
"""A file or folder that got no answer, and why."""


def files_of(paths: Sequence[Path]) -> tuple[list[Path], list[Refusal]]:
    """The files that are named and the videos below the folders that are named, and what could not be listed.

    Raises:
        FileNotFoundError: a folder without videos.
    """
    from ..datasets.walk import find_videos

    files: list[Path] = []
    refused: list[Refusal] = []
    for path in paths:
        if not _is_folder(path):
            files.append(path)
            continue
        listing = find_videos(path)
        if not listing.videos and not listing.unread:
            raise FileNotFoundError(
                2, "; ".join(("this folder holds no video files", *listing.notes())), str(path)
            )
        files += listing.videos
        refused += [(folder, f"{folder}: {reason}") for folder, reason in listing.unread]
    return files, refused


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that no file can have: refused when it is read
        return False


def refusal(path: Path, error: Exception) -> Refusal:
    """A file that got no answer, and why; call it in ``except Exception`` around the work on one file.

    Files may lie at several servers: one that is lost leaves the others their answers.

    Raises:
        MoclipError, ArgumentError: `error` itself, where it is no matter of one file.
    """
    from ..datasets.clip_errors import CLIP_ERRORS, problem_of

    if isinstance(error, ServerFailure):
        return refusal_of(path, explain(error))
    reason = problem_of(printable(str(path)), error)
    if isinstance(error, CLIP_ERRORS):
        reason = explain(error)
    return refusal_of(path, reason)


def end_batch(refused: Sequence[Refusal]) -> None:
    """Say which files got no answer, and why.

    Raises:
        typer.Exit: there are any; exit code 2.
    """
    for _, reason in refused:
        err.print(f"moclip: {printable(reason)}", markup=False, style="red")
    if refused:
        raise typer.Exit(2)


def refusal_of(path: Path, reason: str) -> Refusal:
    """A file that got no answer, with a reason that names it."""
    return path, named_reason(path, reason)
