"""Checks of a fold: no group, copy or overlap on two sides of a split, and training clips of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import DataError
from ..sampling import WHOLE, Segment
from .clip import Fold, shorten
from .content import extent_of, file_of

__all__ = ["ALLOW_SHARED", "checked", "checked_groups"]

ALLOW_SHARED: Final = "--set data.shared_groups=true"
"""Option that messages name to continue with groups or clips on two sides."""

_NAMES: Final = 3
"""Names of a file in a message."""


def checked_groups(fold: Fold, shared: bool) -> Fold:
    """The fold, if each class has training clips and no group is on two sides; `shared` allows the latter.

    Raises:
        DataError: it is not so.
    """
    name = fold.name
    absent = sorted({clip.label for clip in fold.test} - {clip.label for clip in fold.train})
    if absent:
        raise DataError(
            f"fold {name}: no training clip is left of {len(absent)} class(es): {shorten(absent)}; "
            "these need more clips (or more groups)"
        )
    leaks = sorted(fold.shared_groups())
    if leaks and not shared:
        raise DataError(
            f"fold {name}: {len(leaks)} groups stand on both sides of a split ({shorten(leaks)}), so test "
            f"clips have been seen in training; correct the lists, or continue with {ALLOW_SHARED}"
        )
    if leaks:
        fold = replace(
            fold, notes=(f"{len(leaks)} groups stand on both sides of a split: scores are too high",)
        )
    return fold


def checked(
    fold: Fold,
    labels: Sequence[str],
    digests: Mapping[str, str],
    *,
    test_fraction: float | None,
    shared: bool,
) -> Fold:
    """A fold with notes on copies, absent classes and an inexact share of test clips.

    Files are known by their content, so that a copy or a link of another name is the same file.

    Args:
        fold: to check.
        labels: all classes.
        digests: clip name -> its content, see :func:`~moclip_lite.datasets.content.content_of`, as far as
            known.
        test_fraction: requested share of test clips; None where lists or groups decide.
        shared: allow copies of a clip on two sides.

    Raises:
        DataError: clips of equal content, or overlapping segments of a video, on two sides of the split,
            which `shared` does not allow.
    """
    notes = []
    leaks = (
        (_copies(fold, digests), "have a copy of equal content on"),
        (_overlaps(fold, digests), "overlap a segment or the whole of the same file on"),
    )
    for pairs, has in leaks:
        if pairs and not shared:
            raise DataError(
                f"fold {fold.name}: {len(pairs)} clips {has} another side of the split "
                f"({shorten(pairs, 3)}); remove these, or continue with {ALLOW_SHARED}"
            )
        if pairs:
            notes.append(f"{len(pairs)} clips {has} another side of the split: scores are too high")
    notes += _other_names(fold, digests)
    if test_fraction is not None:
        absent = sorted(set(labels) - {clip.label for clip in fold.test})
        if absent:
            notes.append(f"no test clip of {len(absent)} class(es): {shorten(absent)}")
        total = len(fold.clips())
        if test_fraction > 0 and abs(len(fold.test) - test_fraction * total) > max(1.0, 0.05 * total):
            notes.append(
                f"test holds {100 * len(fold.test) / total:.0f} % of the clips, {100 * test_fraction:.0f} % "
                "were asked for: classes and groups leave no nearer division"
            )
    return replace(fold, notes=(*fold.notes, *notes))


def _copies(fold: Fold, digests: Mapping[str, str]) -> list[str]:
    """Pairs of clips of equal content on two sides of the split, in words."""
    first: dict[str, tuple[str, str]] = {}
    copies = []
    for part in ("train", "val", "test"):
        for clip in getattr(fold, part):
            if clip.name not in digests:
                continue
            other_part, name = first.setdefault(digests[clip.name], (part, clip.name))
            if other_part != part:
                copies.append(f"{name} in {other_part} = {clip.name} in {part}")
    return copies


def _overlaps(fold: Fold, digests: Mapping[str, str]) -> list[str]:
    """Overlapping segments of a file on two sides of the split, or one and the whole file, in words."""
    by_name: dict[tuple[Path, str], list[_Side]] = {}
    by_content: dict[str, list[_Side]] = {}
    for part in ("train", "val", "test"):
        for clip in getattr(fold, part):
            side = _Side(clip.extent, part, clip.name)
            by_name.setdefault((clip.path, clip.video), []).append(side)  # clips of shards have one path
            if (content := digests.get(clip.name)) is not None:
                shown = side._replace(extent=extent_of(content))  # shards hold segments as whole clips
                by_content.setdefault(file_of(content), []).append(shown)
    pairs = [pair for sides in by_name.values() for pair in _crossed(sides)]
    for sides in by_content.values():
        pairs += [(one, other) for one, other in _crossed(sides) if one.extent != other.extent]  # else copies
    words = (f"{one.name} in {one.part} overlaps {other.name} in {other.part}" for one, other in pairs)
    return list(dict.fromkeys(words))


class _Side(NamedTuple):
    """A clip of a file, and where it stands."""

    extent: Segment
    part: str
    name: str


def _crossed(sides: Sequence[_Side]) -> list[tuple[_Side, _Side]]:
    """Pairs of overlapping clips of one file in different parts; at most one per clip."""
    pairs = []
    last: dict[str, _Side] = {}  # of each part, the clip that ends last so far
    for side in sorted(sides):
        other = next(
            (o for o in last.values() if o.part != side.part and o.extent.overlaps(side.extent)), None
        )
        if other is not None:
            pairs.append((other, side))
        if side.part not in last or side.extent.end > last[side.part].extent.end:
            last[side.part] = side
    return pairs


def _other_names(fold: Fold, digests: Mapping[str, str]) -> list[str]:
    """Notes on files whose segments have several names on two sides, and on clips of several labels."""
    files: dict[str, dict[str, str]] = {}  # file -> name of the video -> part of its first clip
    labels: dict[str, dict[str, str]] = {}  # content -> label -> name of its first clip
    for part in ("train", "val", "test"):
        for clip in getattr(fold, part):
            if (content := digests.get(clip.name)) is not None:
                if extent_of(content) != WHOLE:  # copies of whole files are told as such
                    video = clip.name.removesuffix(f"@{extent_of(content)}")
                    files.setdefault(file_of(content), {}).setdefault(video, part)
                labels.setdefault(content, {}).setdefault(clip.label, clip.name)
    notes = []
    divided = [
        " = ".join(list(names)[:_NAMES])
        for names in files.values()
        if len(names) > 1 < len(set(names.values()))
    ]
    if divided:
        notes.append(
            f"{len(divided)} file(s) have several names, in different parts of the split "
            f"({shorten(divided, 3)}): scores are higher than on videos that were not seen in training"
        )
    unlike = [
        " = ".join(f"{name} ({label})" for label, name in names.items())
        for names in labels.values()
        if len(names) > 1
    ]
    if unlike:
        notes.append(f"{len(unlike)} clip(s) have copies with another label: {shorten(unlike, 3)}")
    return notes
