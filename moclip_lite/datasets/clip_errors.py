"""Classification of errors: a broken clip, a bug, or a reason to stop the whole work."""

from __future__ import annotations

import errno
from typing import Final

import av.error

from mv_tools import ArgumentError, MotionError
from mv_tools.urls import ObjectRefused, ServerFailure

from ..errors import ConfigError, MoclipError, bug_reason, exhausted_memory, out_of_memory, report_bug
from ..storage.names import printable

__all__ = ["CLIP_ERRORS", "problem_of", "reason_of", "sentence_of", "stops_all"]

CLIP_ERRORS: Final = (MotionError, OSError, av.error.FFmpegError, MemoryError)
"""Errors that a broken clip may raise; any other is a bug of this program, and reported as one."""

_DISK: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def reason_of(error: BaseException) -> str:
    """An error as one line."""
    if exhausted_memory(error):
        return "memory ran out"
    text = printable(" ".join(str(getattr(error, "strerror", None) or error).split()))
    return text or type(error).__name__


def sentence_of(error: BaseException) -> str:
    """An error as one line that names the file if the error does."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{printable(str(error.filename))}: {reason_of(error)}"
    return reason_of(error)


def stops_all(error: BaseException) -> bool:
    """Whether an error with one clip concerns all clips: the disk is full or read-only, or a server of files
    at URLs can't be reached or gives none of them."""
    if isinstance(error, ServerFailure):
        return not isinstance(error, ObjectRefused)
    return isinstance(error, OSError) and error.errno in _DISK


def problem_of(name: str, error: Exception) -> str:
    """Why a clip was left out, for a table of failures; a bug is also reported with its traceback.

    Call it in ``except Exception`` around the work on one clip of several.

    Raises:
        MoclipError, ArgumentError, OSError: `error` itself, if it concerns all clips.
        ConfigError: a GPU's memory ran out, as it would for the other clips.
    """
    if stops_all(error):
        raise error
    memory = exhausted_memory(error)
    if memory == "the GPU":
        raise ConfigError(out_of_memory(error)) from error
    if memory or isinstance(error, CLIP_ERRORS):
        return reason_of(error)
    if isinstance(error, (MoclipError, ArgumentError)):
        raise error
    report_bug(name, error)
    return bug_reason(error)
