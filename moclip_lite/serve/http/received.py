"""What a request brought, and the names of its video."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from ...datasets.walk import VIDEO_SUFFIXES
from ...progress import size_in_words
from ...storage.names import shortened
from .refusal import Refusal

__all__ = ["Received", "display_name", "file_of", "given_twice", "parsed_json", "too_large"]

_MAX_NAME: Final = 120  # characters of a name for people


@dataclass
class Received:
    """What a request brought.

    Attributes:
        fields: text fields, such as path and top_k.
        video: the uploaded file, None if there is none.
        name: its name for people; it is never part of a path.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    video: Path | None = None
    name: str = ""


def display_name(name: str) -> str:
    """The last part of a client's file name, in printable characters and of bounded length."""
    last = re.split(r"[/\\]", name)[-1]
    clean = "".join(c if c.isprintable() else "_" for c in last.encode("utf-8", "replace").decode())
    return shortened(clean.strip(), _MAX_NAME) or "video"


def file_of(folder: Path, name: str) -> Path:
    """Where an upload is written: only a known ending is taken from its name."""
    suffix = PurePosixPath(name).suffix.lower()
    return folder / f"upload{suffix if suffix in VIDEO_SUFFIXES else ''}"


def parsed_json(body: bytes) -> Any:
    """The value of a JSON body; None if it is no JSON.

    Raises:
        Refusal: 400, a name is given twice.
    """

    def unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for name, value in pairs:
            if name in content:
                raise given_twice(name)
            content[name] = value
        return content

    try:
        return json.loads(body, object_pairs_hook=unrepeated)
    except (ValueError, RecursionError):
        return None


def given_twice(key: str) -> Refusal:
    """The refusal of an option that has two values."""
    return Refusal(400, f"{key[:64]!r} is given twice")


def too_large(limit: int) -> Refusal:
    """The refusal of an upload that exceeds the limit."""
    return Refusal(413, f"the upload is larger than {size_in_words(limit)}, the limit of this server")
