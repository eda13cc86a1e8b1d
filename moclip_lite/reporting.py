"""How long work talks to whoever started it; the command line gives it a face."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Reporter", "Silent"]


class Reporter(Protocol):
    """Receives lines for people and the progress of stages."""

    def say(self, text: str) -> None:
        """Something worth a line."""

    def warn(self, text: str) -> None:
        """Something that a user should not overlook."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` steps of a stage; ends when they are equal."""


class Silent:
    """Says nothing."""

    def say(self, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass

    def progress(self, stage: str, done: int, total: int) -> None:
        pass
