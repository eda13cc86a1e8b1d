"""A lock among machines: an object that its holder writes again every few seconds.

Who finds it watches it for a while with its own clock: a lock that changes has a living holder, one that does
not is taken over. No two clocks are compared, so that none needs to be right.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import Any, Final

from mv_tools import SourceChanged

from ..errors import CheckpointError
from .objects import ObjectFolder
from .repeated import repeated

__all__ = ["BEAT_SECONDS", "LEASE_SECONDS", "Lease"]

BEAT_SECONDS: Final = 10.0
LEASE_SECONDS: Final = 35.0
"""How long a lock must stay unchanged before it is taken over: some beats of its holder may be late."""

_ATTEMPTS: Final = 20  # to read a lock that is being written


class Lease:
    """A lock object.

    Args:
        folder: where it lies.
        name: of the object.
        what: kind of holder for messages, such as "run".
        note: told that a lock is being watched.

    Attributes:
        lost: whether another process took the lock over: what is held may not be written any more.
    """

    def __init__(
        self, folder: ObjectFolder, name: str, what: str, note: Callable[[str], None] = lambda text: None
    ) -> None:
        self._folder, self._name, self._what, self._note = folder, name, what, note
        self._token = secrets.token_hex(8)
        self._since = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._beats = 0
        self.lost = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock.

        Raises:
            CheckpointError: another process holds it.
            OSError: the server refuses, or can't be reached.
        """
        self._take()
        try:
            with repeated(self._beat, BEAT_SECONDS, "moclip-lease"):
                yield
        finally:
            self._release()

    def _read(self) -> bytes | None:
        """The lock as it is now; some servers give one that is being written in parts.

        Raises:
            OSError: the server can't be asked.
        """
        for _ in range(_ATTEMPTS):
            try:
                return self._folder.read(self._name)
            except SourceChanged:
                time.sleep(0.05)
        raise OSError(f"{self._folder.url}: its lock can't be read")

    def _take(self) -> None:
        if not self._folder.create(self._name, self._content()):
            content = self._read()
            if content is not None:
                self._watch(content)
            self._folder.write(self._name, self._content())
        if not self._is_mine(self._read()):  # two took it at once
            raise CheckpointError(self._refusal({}))

    def _watch(self, content: bytes) -> None:
        """Wait for the end of a lock's time.

        Raises:
            CheckpointError: it changes: its holder lives.
        """
        holder = _holder(content)
        self._note(
            f"{self._folder.url} is locked by {_words(holder)}; "
            f"waiting {LEASE_SECONDS:.0f} s to see whether it is at work"
        )
        ends = time.monotonic() + LEASE_SECONDS
        while time.monotonic() < ends:
            time.sleep(min(BEAT_SECONDS / 2, max(0.0, ends - time.monotonic())))
            now = self._read()
            if now is None:
                return
            if now != content:
                raise CheckpointError(self._refusal(_holder(now)))
        self._note(f"{self._folder.url}: its holder is gone; continuing with what it left")

    def _refusal(self, holder: dict[str, Any]) -> str:
        return (
            f"another {self._what} is at work in {self._folder.url} ({_words(holder)}); "
            "wait for it, or name another URL"
        )

    def _beat(self) -> bool:
        """Write the lock again; False once it is lost."""
        # The connection may come back before the lease ends; if not, the next check tells.
        with suppress(OSError):
            self.check()
            if not self.lost:
                self._folder.write(self._name, self._content())
        return not self.lost

    def check(self) -> None:
        """Look whether the lock is still held.

        Raises:
            OSError: the server can't be asked.
        """
        if not self._is_mine(self._read()):
            self.lost = True

    def _release(self) -> None:
        try:
            self.check()
            if not self.lost:
                self._folder.remove(self._name)
        except OSError:  # it ends by itself
            return

    def _content(self) -> bytes:
        self._beats += 1
        holder = {"host": socket.gethostname(), "process": os.getpid(), "since": self._since}
        return json.dumps({**holder, "token": self._token, "beat": self._beats}).encode()

    def _is_mine(self, content: bytes | None) -> bool:
        return content is not None and _holder(content).get("token") == self._token


def _holder(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _words(holder: dict[str, Any]) -> str:
    """Who holds a lock; an object may hold anything."""
    words = [f"{name} {str(holder[name])[:80]}" for name in ("host", "process", "since") if name in holder]
    return ", ".join(words) or "an unknown process"
