"""File names that are not valid UTF-8, in a form that can be printed and written."""

from __future__ import annotations

import os

__all__ = ["printable"]


def printable(name: str) -> str:
    r"""A name in valid Unicode: bytes that are not UTF-8 become ``\xff``; other names stay as they are."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    return name
