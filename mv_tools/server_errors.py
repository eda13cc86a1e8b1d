"""Errors of servers of files: of one object, or of all that lies there, and what tells them apart."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

__all__ = [
    "AccessRefused",
    "Answers",
    "NoSuchBucket",
    "ObjectDenied",
    "ObjectFault",
    "ObjectRefused",
    "ServerFailure",
]

_IN_A_ROW: Final = 16  # objects


class ServerFailure(OSError):
    """A server can't be reached, refuses or answers no ranges, which concerns all that lies there.

    Except for :class:`ObjectRefused`.
    """

    def of(self, url: str) -> ServerFailure:
        """The same about another URL of the server, such as the folder that was asked for."""
        return type(self)(self.errno, self.strerror, url)


class AccessRefused(ServerFailure, PermissionError):
    """The server refuses."""


class NoSuchBucket(ServerFailure, FileNotFoundError):
    """The server has no such bucket."""


class ObjectRefused(ServerFailure):
    """The server answers for this object with an error, and may give others."""


class ObjectDenied(ObjectRefused, AccessRefused):
    """The server refuses this object (HTTP 401, 403)."""


class ObjectFault(ObjectRefused):
    """The server fails with this object (HTTP 500 and above)."""


class Answers:
    """What a process got of each server; it tells refused objects from a server that gives none.

    A server is taken for lost after 16 objects in a row that it failed with, or that it refused when it had
    given no other before.
    """

    def __init__(self) -> None:
        self._given: set[str] = set()
        self._refused: dict[str, set[str]] = {}

    def give(self, url: str) -> None:
        """An object was given, or is absent."""
        place = _place(url)
        self._given.add(place)
        self._refused.pop(place, None)

    def refuse(self, error: ObjectRefused, url: str) -> ServerFailure:
        """The error that the answer for an object amounts to: itself, or one that concerns all."""
        place = _place(url)
        refused = self._refused.setdefault(place, set())
        refused.add(url)
        fails = isinstance(error, ObjectFault) or place not in self._given
        if len(refused) < _IN_A_ROW or not fails:
            return error
        kind = AccessRefused if isinstance(error, ObjectDenied) else ServerFailure
        return kind(error.errno, f"{error.strerror}, and so it is with {len(refused) - 1} other objects", url)


def _place(url: str) -> str:
    """The server or bucket of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
