"""Printable form of file names that are not valid UTF-8."""

from __future__ import annotations

import os

__all__ = ["printable"]


def printable(name: str) -> str:
    r"""The name in valid Unicode: bytes that are not UTF-8 become ``\xff``; other names are unchanged."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    return name
