"""Checks of a fold: no group, copy or overlap on two sides of a split, and training clips of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ..errors import DataError
from ..sampling import Segment
from .clip import Fold, shorten

__all__ = ["ALLOW_SHARED", "checked", "checked_groups"]

ALLOW_SHARED: Final = "--set data.shared_groups=true"
"""Option that messages name to continue with groups or clips on two sides."""


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

    Args:
        fold: to check.
        labels: all classes.
        digests: clip name -> digest of its content, as far as known.
        test_fraction: requested share of test clips; None where lists or groups decide.
        shared: allow copies of a clip on two sides.

    Raises:
        DataError: clips of equal content, or overlapping segments of a video, on two sides of the split,
            which `shared` does not allow.
    """
    notes = []
    leaks = (
        (_copies(fold, digests), "have a copy of equal content on"),
        (_overlaps(fold), "overlap a segment or the whole of the same file on"),
    )
    for pairs, has in leaks:
        if pairs and not shared:
            raise DataError(
                f"fold {fold.name}: {len(pairs)} clips {has} another side of the split "
                f"({shorten(pairs, 3)}); remove these, or continue with {ALLOW_SHARED}"
            )
        if pairs:
            notes.append(f"{len(pairs)} clips {has} another side of the split: scores are too high")
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


def _overlaps(fold: Fold) -> list[str]:
    """Overlapping segments of a file on two sides of the split, or one and the whole file, in words; at most
    one pair per clip."""
    sides: dict[tuple[Path, str], list[tuple[Segment, str, str]]] = {}
    for part in ("train", "val", "test"):
        for clip in getattr(fold, part):
            # Clips of shards have one path.
            sides.setdefault((clip.path, clip.video), []).append((clip.extent, part, clip.name))
    pairs = []
    for segments in sides.values():
        last: dict[str, tuple[Segment, str, str]] = {}  # of each side, the segment that ends last so far
        for segment, part, name in sorted(segments):
            other = next((o for o in last.values() if o[1] != part and o[0].overlaps(segment)), None)
            if other is not None:
                pairs.append(f"{other[2]} in {other[1]} overlaps {name} in {part}")
            if part not in last or segment.end > last[part][0].end:
                last[part] = (segment, part, name)
    return pairs
