"""File names as text: to be stored, on a terminal and within messages; names that look alike; blank texts."""

from __future__ import annotations

import html
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Final

from mv_tools.urls import spelled

__all__ = [
    "composed",
    "files_like",
    "is_blank",
    "named_reason",
    "printable",
    "shortened",
    "told_apart",
    "valid_unicode",
]

# C0 and C1 controls, line and paragraph separators, and the controls that reverse the direction of text.
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def valid_unicode(name: str) -> str:
    r"""The name in valid Unicode: bytes that are not UTF-8 become ``\xff``, surrogates that stand for no byte
    ``\ud800``; other names are unchanged."""
    try:
        name.encode()
    except UnicodeEncodeError:
        try:
            return os.fsencode(name).decode("utf-8", "backslashreplace")
        except UnicodeEncodeError:
            return name.encode("utf-8", "backslashreplace").decode()
    return name


def printable(name: str) -> str:
    r"""The name in one line of Unicode that no terminal obeys: control characters become ``\n``, ``\x1b``."""
    return _CONTROLS.sub(
        lambda match: match.group().encode("unicode_escape").decode("ascii"), valid_unicode(name)
    )


def shortened(name: str, length: int) -> str:
    """The beginning and the end, where names differ most, of a name of more than `length` characters."""
    first = (length - 1) // 2
    return name if len(name) <= length else f"{name[:first]}…{name[first + 1 - length :]}"


def told_apart(names: Sequence[str], length: int) -> list[str]:
    """Names shortened to `length` characters; where some become alike, all of them behind their numbers."""
    short = [shortened(name, length) for name in names]
    if len(set(short)) == len(set(names)):
        return short
    return [shortened(f"{number} {name}", length) for number, name in enumerate(names, 1)]


def composed(name: str) -> str:
    """A name in Unicode's composed form (NFC): names that look the same, as Macs and others write them, are
    one."""
    return unicodedata.normalize("NFC", name)


def files_like(path: Path) -> list[Path]:
    """The file of a path; without it those whose names differ from it in Unicode's normal form alone, folders
    included.

    Raises:
        OSError, ValueError: no file can have this name.
    """
    if path.is_file() or path.as_posix().isascii():
        return [path] if path.is_file() else []
    found = [Path(path.anchor)]
    for part in PurePath(path).relative_to(path.anchor).parts:
        forms = dict.fromkeys((part, composed(part), unicodedata.normalize("NFD", part)))
        found = [folder / form for folder in found for form in forms if (folder / form).exists()]
    return [file for file in found if file.is_file()]


def is_blank(text: str) -> bool:
    """Whether a text, in which HTML's names of characters stand for these, shows nothing."""
    shown = html.unescape(html.unescape(text))  # as tokenizers do
    return not any(character.isprintable() and not character.isspace() for character in shown)


def named_reason(path: Path, reason: str) -> str:
    """A reason that names its file or URL, once."""
    name = spelled(path)
    return reason if printable(name) in printable(reason) else f"{name}: {reason}"
