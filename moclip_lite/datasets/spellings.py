"""Names of classes and groups that differ by their spelling alone, such as "Walk" and "walk"."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from .clip import Clip, VideoDataset, shorten

__all__ = ["folded", "spelling_notes"]


def folded(name: str) -> str:
    """The name without differences of case and of Unicode normal form."""
    return _composed(_composed(name).casefold())


def spelling_notes(dataset: VideoDataset) -> tuple[str, ...]:
    """Sentences on classes and groups whose names differ by case or Unicode normal form alone.

    They stay apart, since that may be meant. What is meant as one class would be trained as two, and a
    person under two groups may be trained and tested on.
    """
    groups = {clip.group for clip in dataset.clips if clip.group and not _from_video(clip.group, clip)}
    kinds = {"classes": dataset.labels, "groups": sorted(groups)}
    return tuple(note for kind, names in kinds.items() for note in _notes(kind, names))


def _from_video(group: str, clip: Clip) -> bool:
    """Whether a group is a video's name, which nobody chose for it."""
    return group.startswith(clip.video)


def _notes(kind: str, names: Iterable[str]) -> list[str]:
    """A sentence for each way in which names differ."""
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(folded(name), []).append(name)
    found: dict[str, list[str]] = {}
    for spellings in alike.values():
        if len(spellings) > 1:
            difference = _difference(spellings)
            shown = spellings if difference == "case" else [ascii(name) for name in spellings]
            found.setdefault(difference, []).append(" and ".join(shown))
    return [
        f"the {kind} {shorten(sets)} differ by {difference} alone; are they one? Then give them one name"
        for difference, sets in found.items()
    ]


def _difference(spellings: list[str]) -> str:
    """In what names differ that are equal when folded."""
    if len({_composed(name) for name in spellings}) == 1:
        return "Unicode normal form"
    if len({name.casefold() for name in spellings}) == 1:
        return "case"
    return "case and Unicode normal form"


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
