"""Where events go: standard output, a file, a command, an MQTT broker."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final, Protocol

from mv_tools import ArgumentError

from .events import Event

__all__ = ["Background", "Command", "JsonLines", "Sink"]

_QUEUED: Final = 256  # events that wait for a slow command or broker
_COMMAND_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 3.0

Say = Callable[[str], None]


class Sink(Protocol):
    """Takes events, from one thread at a time."""

    def put(self, event: Event) -> None:
        """Take an event."""

    def close(self) -> None:
        """End."""


class JsonLines:
    """Writes an event a line, as JSON, at once.

    Args:
        file: opened for text.
        path: where it lies, if it is closed at the end, and opened anew where another program has moved or
            removed it, as log rotation does.
    """

    def __init__(self, file: IO[str], path: Path | None = None) -> None:
        self._file, self._path = file, path

    @classmethod
    def append(cls, path: Path) -> JsonLines:
        """Append to a file; where it ends within a line, which a full disk leaves, a line is begun.

        Raises:
            OSError: it can't be written.
        """
        return cls(_open_at_line(path), path)

    def put(self, event: Event) -> None:
        """Write an event."""
        if self._path is not None and not _is_file_at(self._file, self._path):
            self._file.close()
            self._file = _open_at_line(self._path)
        self._file.write(json.dumps(event.to_dict()) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._path is not None:
            self._file.close()


def _open_at_line(path: Path) -> IO[str]:
    file = path.open("a", encoding="utf-8")
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as written:
            written.seek(-1, os.SEEK_END)
            if written.read(1) != b"\n":
                file.write("\n")
    return file


def _is_file_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


class Command:
    """Runs a command for each event, without a shell: an event never changes which program runs.

    Args:
        line: program and arguments, quoted as for a shell; ``{camera}``, ``{label}``, ``{start}``, ``{end}``,
            ``{score}``, ``{latency}`` and ``{time}`` in an argument are replaced; numbers take formats, as in
            ``{score:.2f}``. ``{{`` and ``}}`` stand for braces. The event's JSON is on standard input.
        say: takes sentences on commands that fail.

    Raises:
        ArgumentError: the line is empty, its quotes are not closed, it names an unknown field, or there is no
            such program.
    """

    def __init__(self, line: str, say: Say) -> None:
        try:
            self._words = shlex.split(line)
        except ValueError as error:
            raise ArgumentError(f"--exec {line!r}: {str(error).lower()}") from error
        if not self._words:
            raise ArgumentError("--exec names no program")
        self._say = say
        self._running: subprocess.Popen[str] | None = None
        self._closed = False
        if shutil.which(self._words[0]) is None:
            raise ArgumentError(f"--exec: there is no program {self._words[0]!r} that can be run")
        self._arguments(Event("camera", 0.0, 1.0, "label", 1.0, 0.0, ""))

    def _arguments(self, event: Event) -> list[str]:
        values = {name: "" if value is None else value for name, value in event.to_dict().items()}
        try:
            return [self._words[0], *(word.format_map(values) for word in self._words[1:])]
        except (KeyError, IndexError, ValueError, AttributeError, TypeError):
            known = ", ".join("{" + name + "}" for name in values)
            raise ArgumentError(
                f"--exec: an unknown field or format in braces; known are {known}; "
                "write other braces twice, as in {{}}"
            ) from None

    def put(self, event: Event) -> None:
        """Run the command and wait for it, ten seconds at most; nothing is run after :meth:`close`."""
        if self._closed:
            return
        text = json.dumps(event.to_dict()) + "\n"
        try:
            running = subprocess.Popen(  # noqa: S603  # the user's own command, without a shell
                self._arguments(event),
                stdin=subprocess.PIPE,
                text=True,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # what it starts is ended with it
            )
        except OSError as error:
            self._say(f"the command {self._words[0]} failed: {(error.strerror or str(error)).lower()}")
            return
        self._running = running
        if self._closed:
            _end(running)
        try:
            running.communicate(text, _COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            _end(running)
            running.communicate()
            self._say(f"the command {self._words[0]} was ended after {_COMMAND_SECONDS:g} s")
            return
        if running.returncode and not self._closed:
            self._say(f"the command {self._words[0]} failed with exit code {running.returncode}")

    def close(self) -> None:
        """End the command, if it still runs."""
        self._closed = True
        if self._running is not None and self._running.poll() is None:
            _end(self._running)


def _end(running: subprocess.Popen[str]) -> None:
    """End a process and those that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(running.pid, signal.SIGKILL)
        else:  # Windows
            running.kill()


class Background:
    """Gives events to a slow sink in a thread; where it is behind, events are dropped, counted and told.

    Args:
        sink: which is slow.
        name: for messages.
        say: takes sentences.
    """

    def __init__(self, sink: Sink, name: str, say: Say) -> None:
        self._sink, self._name, self._say = sink, name, say
        self._queue: queue.Queue[Event | None] = queue.Queue(_QUEUED)
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Queue an event."""
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self.dropped += 1
            if self.dropped == 1:
                self._say(f"{self._name} is behind: events for it are dropped")

    def close(self) -> None:
        """Give what is queued, for three seconds at most."""
        try:
            self._queue.put(None, timeout=_CLOSE_SECONDS)
            self._thread.join(_CLOSE_SECONDS)
        except queue.Full:
            pass
        if self._thread.is_alive():
            ended = f"ended within an event after {_CLOSE_SECONDS:g} s"
            waiting = sum(event is not None for event in self._queue.queue)
            self._say(f"{self._name}: {ended}" + (f", {waiting} more were not given" if waiting else ""))
        if self.dropped:
            self._say(f"{self._name}: {self.dropped} events were dropped")
        self._sink.close()

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            try:
                self._sink.put(event)
            except Exception as error:
                self._say(f"{self._name}: {error}")
