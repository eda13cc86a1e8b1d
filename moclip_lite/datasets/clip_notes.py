"""What is left out of clips, guessed about them or damaged in them: kept beside their features in the cache."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ..storage.cache import FeatureCache
from ..storage.files import write_rows

__all__ = ["ClipNote", "keep_notes", "notes_in_words", "notes_of", "write_notes"]

_STAGE: Final = "notes"


@dataclass(frozen=True)
class ClipNote:
    """A sentence about a clip whose features are used."""

    name: str
    note: str


def keep_notes(cache: FeatureCache, key: str, notes: Sequence[str]) -> None:
    """Keep the notes of a clip under the key of its features; clips without notes have no entry."""
    if notes:
        text = json.dumps(list(notes), ensure_ascii=False).encode()
        cache.put(_STAGE, key, {"notes": np.frombuffer(text, np.uint8)})


def notes_of(cache: FeatureCache, keys: Mapping[str, str]) -> list[ClipNote]:
    """The notes of clips, sorted by name.

    Args:
        cache: where their features are.
        keys: clip name -> key of its features.
    """
    found = []
    for name, key in sorted(keys.items()):
        arrays = cache.get(_STAGE, key) if cache.has(_STAGE, key) else None
        if arrays is not None:
            found += [ClipNote(name, str(note)) for note in json.loads(arrays["notes"].tobytes())]
    return found


def notes_in_words(notes: Sequence[ClipNote]) -> list[str]:
    """A sentence that counts the clips and shows one note; nothing if there are none."""
    if not notes:
        return []
    clips = len({note.name for note in notes})
    first = f"{notes[0].name}: {notes[0].note}"
    return [f"of {clips} clips something is left out, guessed or damaged (notes.csv), such as {first}"]


def write_notes(path: Path, notes: Sequence[ClipNote]) -> None:
    """A CSV of the notes, or no file if there are none."""
    write_rows(path, ("clip", "note"), [(note.name, note.note) for note in notes])
