"""The exceptions of moclip_lite; the command line turns each into one sentence and exit code 2.

::

    MoclipError
    ├── ConfigError          invalid configuration
    ├── DataError            unusable data set
    │   └── ScoreError       scores that can't be evaluated (also a ValueError)
    ├── CacheUnavailable     unusable cache folder
    ├── CheckpointError      damaged or mismatched weights or run folder
    ├── MissingPackage       optional package that is not installed
    ├── TrainingDiverged     loss or weights that are not finite numbers
    └── WeightsUnavailable   unavailable pretrained weights
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from importlib.util import find_spec

from .extras import install_hint, missing_sentence

__all__ = [
    "CacheUnavailable",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "MissingPackage",
    "MoclipError",
    "ScoreError",
    "TrainingDiverged",
    "WeightsUnavailable",
    "bug_reason",
    "exhausted_memory",
    "out_of_memory",
    "report_bug",
    "require_packages",
    "unknown_name",
]


class MoclipError(Exception):
    """Root of the exceptions that moclip_lite raises about a user's input."""


class ConfigError(MoclipError):
    """The configuration has an unknown key or a value out of range; the message names it."""


class DataError(MoclipError):
    """The data set is empty, incomplete or inconsistent; the message says where."""


class ScoreError(DataError, ValueError):
    """There are no scores to evaluate, or one is not finite."""


class CacheUnavailable(MoclipError):
    """The cache folder can't be read or written; the message says how to choose another."""


class CheckpointError(MoclipError):
    """A weights file or run folder is damaged, or was made for something else."""


class MissingPackage(MoclipError):
    """An optional package is not installed; the message has the pip command."""


class TrainingDiverged(MoclipError):
    """The loss or the weights of a training are not finite numbers any more."""


class WeightsUnavailable(MoclipError):
    """Pretrained weights can't be loaded here; the message says what to do instead."""


def unknown_name(key: str, value: str, known: Sequence[str]) -> str:
    """Message for an unknown name, with the nearest known names."""
    matches = difflib.get_close_matches(value, known, n=3, cutoff=0.4)
    hint = (
        f"did you mean {' or '.join(matches)}?" if matches else f"{len(known)} are known, such as {known[0]}"
    )
    return f"{key}: unknown {value!r}; {hint}"


def exhausted_memory(error: BaseException) -> str | None:
    """Whose memory ran out: "the GPU" or "this machine"; None for other errors."""
    if any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):  # torch may not be imported
        return "the GPU"
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):
        return "this machine"
    return None


def out_of_memory(error: BaseException) -> str | None:
    """What to do where memory ran out; None for other errors."""
    owner = exhausted_memory(error)
    if owner is None:
        return None
    other = (
        "or the CPU (run.device=cpu, --device cpu), or end other programs on the GPU"
        if owner == "the GPU"
        else "or fewer processes (run.workers)"
    )
    return (
        f"{owner}'s memory ran out; take a smaller batch (train_motion.batch, train_head.batch; --batch of "
        f"train video-text), {other}; finished work is kept, the same command resumes"
    )


def require_packages(names: Sequence[str]) -> None:
    """Refuse long work at its beginning where a package that it needs later is not installed; imports none.

    Raises:
        MissingPackage: one of the names can't be imported; the message has the pip command.
    """
    for name in names:
        if find_spec(name) is None:
            raise MissingPackage(missing_sentence(name))


def report_bug(name: str, error: BaseException) -> None:
    """Log an unexpected error with its traceback, where the work continues without the clip of that name.

    The command line prints these at the end and exits with 1.

    Raises:
        MissingPackage: the error is an optional package that is not installed; other clips would fail alike.
    """
    if hint := install_hint(error):
        raise MissingPackage(hint) from error
    logging.getLogger("moclip.bugs").error("a bug in this program, met on %s", name, exc_info=error)


def bug_reason(error: BaseException) -> str:
    """Reason in a table of failures for an unexpected error."""
    text = " ".join(str(error).split())
    return (
        f"a bug in this program ({type(error).__name__}{': ' if text else ''}{text}); the file may be sound"
    )
