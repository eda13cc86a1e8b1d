"""Notes on what is left out, guessed or damaged in clips, stored beside their features in the cache."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..storage.cache import FeatureCache
from ..storage.cache_keys import NOTES
from ..storage.files import write_rows

__all__ = ["ClipNote", "keep_notes", "notes_in_words", "notes_of", "write_notes"]


@dataclass(frozen=True)
class ClipNote:
    """A sentence about a clip whose features are used."""

    name: str
    note: str


def keep_notes(cache: FeatureCache, key: str, notes: Sequence[str]) -> None:
    """Store the notes of a clip under the key of its features; clips without notes get no entry."""
    if notes:
        text = json.dumps(list(notes), ensure_ascii=False).encode()
        cache.put(NOTES, key, {"notes": np.frombuffer(text, np.uint8)})


def notes_of(cache: FeatureCache, keys: Mapping[str, str]) -> list[ClipNote]:
    """The notes of clips, sorted by name.

    Args:
        cache: holds the features.
        keys: clip name -> key of its features.
    """
    notes = []
    for name, key in sorted(keys.items()):
        arrays = cache.get(NOTES, key) if cache.has(NOTES, key) else None
        if arrays is not None:
            notes += [ClipNote(name, str(note)) for note in json.loads(arrays["notes"].tobytes())]
    return notes


def notes_in_words(notes: Sequence[ClipNote]) -> list[str]:
    """A sentence with the number of clips and one note; none if there are no notes."""
    if not notes:
        return []
    clips = len({note.name for note in notes})
    example = f"{notes[0].name}: {notes[0].note}"
    return [f"of {clips} clips something is left out, guessed or damaged (notes.csv), such as {example}"]


def write_notes(path: Path, notes: Sequence[ClipNote]) -> None:
    """Write the notes as CSV; no file if there are none."""
    write_rows(path, ("clip", "note"), [(note.name, note.note) for note in notes])
