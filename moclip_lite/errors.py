"""The exceptions of moclip_lite; the command line turns each into one sentence and exit code 2.

::

    MoclipError
    ├── ConfigError          a configuration that can't be used
    ├── DataError            a data set that can't be used
    │   └── ScoreError       scores that can't be evaluated (a ValueError too)
    ├── CacheUnavailable     a cache folder that can't be used
    ├── CheckpointError      weights or a run folder that don't fit
    └── WeightsUnavailable   pretrained weights that can't be had
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence

__all__ = [
    "CacheUnavailable",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "MoclipError",
    "ScoreError",
    "WeightsUnavailable",
    "bug_reason",
    "report_bug",
    "unknown_name",
]


class MoclipError(Exception):
    """Root of what moclip_lite raises about a user's input."""


class ConfigError(MoclipError):
    """The configuration has an unknown key or a value out of range; the message names it."""


class DataError(MoclipError):
    """The data set is empty, incomplete or contradicts itself; the message says where."""


class ScoreError(DataError, ValueError):
    """There are no scores to evaluate, or one is not finite."""


class CacheUnavailable(MoclipError):
    """The cache folder can't be read or written; the message says how to name another."""


class CheckpointError(MoclipError):
    """A weights file or run folder is damaged, or was made for something else."""


class WeightsUnavailable(MoclipError):
    """Pretrained weights can't be loaded here; the message says what to do instead."""


def unknown_name(key: str, value: str, known: Sequence[str]) -> str:
    """The message for a name that does not exist: the nearest that do, or how many there are."""
    near = difflib.get_close_matches(value, known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"{len(known)} are known, such as {known[0]}"
    return f"{key}: unknown {value!r}; {hint}"


def report_bug(what: str, error: BaseException) -> None:
    """Log an error that nothing expected, with its traceback, where the work goes on without `what`.

    The command line prints these at the end and exits with 1.
    """
    logging.getLogger("moclip.bugs").error("a bug in this program, met on %s", what, exc_info=error)


def bug_reason(error: BaseException) -> str:
    """The line of a table of failures for an error that nothing expected."""
    text = " ".join(str(error).split())
    return (
        f"a bug in this program ({type(error).__name__}{': ' if text else ''}{text}); the file may be sound"
    )
