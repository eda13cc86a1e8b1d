"""Paths of this machine: cut from texts that are published, and looked for in all that is."""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mv_tools.urls import is_url, spelled

from ..errors import CheckpointError
from ..experiment.config import Experiment
from ..experiment.settings.portable import portable
from .texts import text_parts

__all__ = ["PrivatePaths", "map_texts", "without_paths"]

# Not behind the characters of base64: pictures in a page must stay as they are.
_PATH: Final = re.compile(r"(?<![\w/.:<*+,=])(?:/[\w.@+%-]+){2,}|(?<!\w)[A-Za-z]:\\[^\s\"'<>|]+")
_LONG: Final = 8  # bytes of a path that numbers in binary do not spell by chance
_SEPARATOR: Final = re.compile(r"[/\\]")


def without_paths(text: str) -> str:
    """A text in which absolute paths without spaces are shortened to their last part."""
    return _PATH.sub(lambda match: "…/" + _SEPARATOR.split(match[0])[-1], text)


def map_texts(value: Any, change: Callable[[str], str], skip: Iterable[str] = ()) -> Any:
    """Plain values with changed texts; keys stay, and so do the values of those in `skip`."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: item if key in skip else map_texts(item, change, skip) for key, item in value.items()}
    return [map_texts(item, change, skip) for item in value] if isinstance(value, list | tuple) else value


class PrivatePaths:
    """The paths that a run knows, and the home folder.

    Paths of the configuration are all that it holds and
    :func:`~moclip_lite.experiment.settings.portable.portable` leaves out.

    Args:
        experiment: configuration of the run.
        folders: of the run.
    """

    def __init__(self, experiment: Experiment, folders: Iterable[Path]) -> None:
        shared = set(_texts(portable(experiment).model_dump(mode="json")))
        private = (text for text in _texts(experiment.model_dump(mode="json")) if text not in shared)
        paths = {form for text in (*private, *map(str, folders)) for form in _forms(text)}
        home = os.path.expanduser("~")
        self._home = {home, os.path.realpath(home)}
        known = {path for path in paths | self._home if _SEPARATOR.search(path.strip("/\\"))}
        known |= {path for path in paths | self._home if re.fullmatch(r"/[^/]+", path)}
        self._known = sorted(known, key=lambda path: (-len(path), path))
        self._text = re.compile(rf"(?<![\w.…])(?:{'|'.join(map(re.escape, self._known)) or '(?!)'})(?![\w-])")
        forms = sorted({form for path in self._known for form in _written(path)}, key=len, reverse=True)
        self._bytes = _any_of(forms)
        self._long_bytes = _any_of([form for form in forms if len(form) >= _LONG])

    def hide(self, text: str) -> str:
        """A text in which these paths, and all that look like one, are shortened to their last part."""
        return without_paths(self._text.sub(self._shorten, text))

    def _shorten(self, match: re.Match[str]) -> str:
        parts = _SEPARATOR.split(match[0])
        return "…" if match[0] in self._home or len(parts) < 3 else f"…/{parts[-1]}"

    def refuse(self, name: str, content: bytes) -> None:
        """Refuse a file that holds one of these paths; short ones are looked for in its text parts.

        Raises:
            CheckpointError: it does; the message names it.
        """
        match = self._long_bytes.search(content) or self._bytes.search(text_parts(name, content))
        if match is not None:
            path = match[0].decode(errors="replace")
            raise CheckpointError(f"{name} holds a path of this machine ({path}), which would be published")


def _texts(value: Any) -> Iterator[str]:
    """All texts in plain values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _forms(text: str) -> set[str]:
    """A path as it is given and in full; nothing for a word that is no path."""
    if is_url(Path(text)):
        return {text, str(Path(text)), spelled(Path(text))}
    if not _SEPARATOR.search(text) and not os.path.lexists(text):
        return set()
    return {text.rstrip("/\\"), str(Path(text).absolute()), os.path.realpath(text)}


def _any_of(paths: Iterable[bytes]) -> re.Pattern[bytes]:
    """Any of these paths, longer ones first, and not as a part of a longer name."""
    return re.compile(rb"(?<![\w.])(?:" + (b"|".join(map(re.escape, paths)) or b"(?!)") + rb")(?![\w-])")


def _written(path: str) -> set[bytes]:
    """A path as text files may hold it."""
    return {
        path.encode(errors="surrogateescape"),
        json.dumps(path)[1:-1].encode(),
        html.escape(path).encode(),
    }
