"""The local copy of a folder at a URL that is worked in.

It belongs to one process at a time, on all machines; what changed in it is written back while the work goes
on and at its end. Copies that are only read are in :mod:`moclip_lite.storage.snapshot`.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from mv_tools.urls import is_url, spelled

from ..errors import CheckpointError, MoclipError
from .files import write_json
from .lease import Lease
from .objects import ObjectFolder, Version
from .repeated import repeated
from .snapshot import belongs, fetch_files, place_of, remove_unused, state_of, working_copy

__all__ = ["LOCK", "Mirror", "held", "write_back"]

LOCK: Final = ".moclip.lock"
_EVERY_SECONDS: Final = 60.0  # between two times of writing back while the work goes on

_HELD: Final[dict[str, Mirror]] = {}
"""The URLs that this process works in."""


@contextmanager
def held(path: Path, what: str, last: str, note: Callable[[str], None]) -> Iterator[None]:
    """Work in the local copy of a folder at a URL, see :class:`Mirror`.

    A local folder, and one that is held, is worked in as it is.

    Raises:
        CheckpointError, OSError: see :meth:`Mirror.held`.
    """
    if not is_url(path) or spelled(path) in _HELD:
        yield
        return
    mirror = Mirror(path, what, last, note)
    with mirror.held():
        _HELD[spelled(path)] = mirror
        try:
            yield
        finally:
            del _HELD[spelled(path)]


def write_back(path: Path) -> None:
    """Write what changed in a folder that is held, see :meth:`Mirror.try_to_write_back`."""
    if _HELD and spelled(path) in _HELD:
        _HELD[spelled(path)].try_to_write_back()


class Mirror:
    """A folder at a URL that one process works in.

    Args:
        path: the URL, as a path holds it.
        what: what works in it, in words, such as "run".
        last: the file that says that all others are complete: it is removed first and written last.
        note: told what happens.

    Attributes:
        folder: the local copy.
    """

    def __init__(
        self, path: Path, what: str, last: str, note: Callable[[str], None] = lambda text: None
    ) -> None:
        self._remote, self.folder, self._last, self._note = (
            ObjectFolder.at(path),
            working_copy(path),
            last,
            note,
        )
        self._url, self._lease = spelled(path), Lease(self._remote, LOCK, what, note)
        self._record = place_of(self._remote.url) / "work.json"
        self._sent: dict[str, tuple[Version, tuple[int, int]]] = {}  # name -> there, (size, time) here
        self._writing = threading.Lock()
        self._failed = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder, with its content here; what changes is written back every minute and at the end.

        Raises:
            CheckpointError: another process works in it, or took it over meanwhile.
            OSError: the server refuses, or can't be reached; the local copy is kept,
                and the next call goes on with it.
        """
        with self._lease.held():
            self._begin()
            try:
                with repeated(self._write_on, _EVERY_SECONDS, "moclip-mirror"):
                    yield
            finally:
                self._finish()

    def write_back(self) -> None:
        """Write what changed here since the last time.

        Raises:
            CheckpointError: another process took the folder over.
            OSError: the server refuses, or can't be reached.
        """
        with self._writing:
            self._refuse_lost()
            stamps = self._stamps()
            changed = [n for n, stamp in stamps.items() if n not in self._sent or self._sent[n][1] != stamp]
            gone = [name for name in self._sent if name not in stamps]
            others = {*changed, *gone} - {self._last}
            if self._last in self._sent and (others or self._last in {*changed, *gone}):
                self._remote.remove(self._last)
                self._forget(self._last)
                changed = sorted({*changed, *(n for n in (self._last,) if n in stamps)})
            for name in gone:
                if name in self._sent:
                    self._remote.remove(name)
                    self._forget(name)
            for name in sorted(changed, key=lambda name: name == self._last):
                self._send(name, stamps[name])

    def try_to_write_back(self) -> None:
        """Write what changed here; a lost connection is noted once, and tried again later.

        Raises:
            CheckpointError: another process took the folder over.
        """
        try:
            self.write_back()
            self._failed = False
        except CheckpointError:
            raise
        except (OSError, MoclipError) as error:  # no connection, or a full disk here
            if not self._failed:
                self._note(f"what changed could not be written back yet: {error}")
            self._failed = True

    def _send(self, name: str, stamp: tuple[int, int]) -> None:
        try:
            version = self._remote.send(self.folder / name, name)
        except FileNotFoundError:
            if (self.folder / name).exists():
                raise
            return  # replaced or removed meanwhile: the next time
        self._sent[name] = version, stamp
        self._remember()

    def _begin(self) -> None:
        """Make the local copy that of the URL, or go on with one that is ahead of it."""
        there, known = state_of(self._remote), self._remembered()
        if known is not None and {name: version for name, (version, _) in known.items()} == there:
            self._sent = known
            if self._is_ahead_of(known):
                self._note(f"{self._url}: continuing with what was not written back from {self.folder}")
            return
        remove_unused(self._record.parent)
        self._set_aside(known)
        self._record.unlink(missing_ok=True)  # it must not describe a copy that is not complete
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        fetch_files(self._remote, self.folder, there)
        stamps = self._stamps()
        self._sent = {name: (version, stamps[name]) for name, version in there.items()}
        self._remember()

    def _is_ahead_of(self, known: Mapping[str, tuple[Version, tuple[int, int]]]) -> bool:
        """Whether the local copy holds something that was not written back."""
        return self._stamps() != {name: stamp for name, (_, stamp) in known.items()}

    def _set_aside(self, known: Mapping[str, tuple[Version, tuple[int, int]]] | None) -> None:
        """Keep for a week what the local copy, now replaced by another state of the URL, never wrote back."""
        if known is not None and self._is_ahead_of(known):
            aside = self._record.parent / f"kept-{time.time_ns()}"
            self.folder.rename(aside)
            os.utime(aside)
            self._note(
                f"{self._url} was changed elsewhere; what was not written back from here is kept for a week: "
                f"{aside}"
            )

    def _finish(self) -> None:
        try:
            self.write_back()
        except CheckpointError:
            raise
        except (OSError, MoclipError) as error:
            raise OSError(
                f"the results could not be written back ({error}); they are kept in {self.folder}, "
                "and the same command on this machine continues with them"
            ) from error

    def _write_on(self) -> bool:
        """Write what changed; False once another process took the folder over."""
        try:
            self.try_to_write_back()
        except CheckpointError as error:  # raised again in the thread that works
            self._note(str(error))
            return False
        return True

    def _refuse_lost(self) -> None:
        """Refuse to write into a folder that another process took over.

        Raises:
            CheckpointError: it did.
        """
        self._lease.check()
        if self._lease.lost:
            raise CheckpointError(
                f"another process took {self._url} over, because this one was not seen for some time; "
                f"the results of this one are in {self.folder}"
            )

    def _stamps(self) -> dict[str, tuple[int, int]]:
        """(size, time of modification) of each file here."""
        stamps = {}
        for folder, _, names in os.walk(self.folder):
            for path in (Path(folder, name) for name in names):
                name = path.relative_to(self.folder)
                try:
                    if belongs(name) and path.is_file():
                        stat = path.stat()
                        stamps[name.as_posix()] = stat.st_size, stat.st_mtime_ns
                except FileNotFoundError:  # removed meanwhile
                    continue
        return stamps

    def _forget(self, name: str) -> None:
        self._sent.pop(name, None)
        self._remember()

    def _remember(self) -> None:
        rows = {name: [version.size, version.tag, *stamp] for name, (version, stamp) in self._sent.items()}
        write_json(self._record, rows)

    def _remembered(self) -> dict[str, tuple[Version, tuple[int, int]]] | None:
        """What was known of both sides when the copy was last in step; None where there is none."""
        if not self.folder.is_dir():
            return None
        try:
            rows: dict[str, Any] = json.loads(self._record.read_text())
            return {n: (Version(int(r[0]), str(r[1])), (int(r[2]), int(r[3]))) for n, r in rows.items()}
        except (OSError, ValueError, TypeError, IndexError, AttributeError):
            return None
