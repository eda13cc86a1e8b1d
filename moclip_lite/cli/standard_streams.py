"""Standard streams that are closed or full: what is printed decides nothing and raises nothing."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

__all__ = ["Messages", "complete_streams", "drop_unwritten", "watched_reader"]


def complete_streams() -> None:
    """Put the null device in the place of standard streams that are closed, so that no file that is opened
    later takes their numbers; characters that standard output can't encode are escaped.

    Standard input stays None where it was closed: who reads it can say so.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    if sys.stdout is None:
        sys.stdout = _nowhere()
    if sys.stderr is None:
        sys.stderr = _nowhere()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


@contextmanager
def watched_reader() -> Iterator[Callable[[], bool]]:
    """A function that tells whether the reader of standard output is gone, as `head` is after its lines.

    It asks a duplicate, because rich puts the null device in the place of a pipe that broke.
    """
    try:
        number = os.dup(sys.stdout.fileno())
    except (OSError, ValueError):  # not a file
        yield lambda: False
        return
    try:
        yield lambda: _nobody_reads(number)
    finally:
        os.close(number)


def _nobody_reads(number: int) -> bool:
    if not hasattr(select, "poll"):  # Windows, where it can't be told
        return True
    poll = select.poll()
    poll.register(number, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def drop_unwritten() -> None:
    """Drop what waits in standard streams and can't be written: at the end of the program it would change its
    exit code, which says that already."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except OSError:
            setattr(sys, name, _nowhere())


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


class Messages(Console):
    """A console whose messages are dropped where they can't be written: the disk is full, nobody reads."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, see :meth:`rich.console.Console.print`."""
        with suppress(OSError):
            super().print(*objects, **options)

    def on_broken_pipe(self) -> None:
        """Nobody reads: be quiet from now on."""
        self.quiet = True
