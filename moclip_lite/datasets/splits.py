"""Dividing clips: test is set apart first, validation is cut from the rest by group.

A group on both sides of a split is refused unless it is asked for.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from .base import Clip, Fold, VideoDataset, shorten

__all__ = ["cut", "holdout_fold", "leave_one_group_out", "official_folds"]

_ALLOW: Final = "--set data.shared_groups=true"
_MOST_PARTS: Final = 100
_TOLERANCE: Final = 0.05  # of a share; a cut that is further off is told of


def cut(clips: Sequence[Clip], fraction: float, seed: int) -> tuple[list[Clip], list[Clip]]:
    """Divide clips into (rest, part), `part` being about `fraction` of each class.

    The clips are cut into up to a hundred parts of like classes, and as many of these are taken as come nearest to
    the fraction. Clips of a group stay together; without groups each clip is a group of its own. The same
    clips, fraction and seed give the same division, whatever the order of the clips.

    Raises:
        DataError: there are too few groups to divide.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # a second to import, and not for workers

    if not 0 < fraction < 1:
        raise DataError(f"a fraction must be between 0 and 1, got {fraction}")
    ordered = sorted(clips, key=lambda clip: clip.name)
    groups = [clip.group if clip.group is not None else clip.name for clip in ordered]
    labels = [clip.label for clip in ordered]
    most = max(Counter(labels).values(), default=0)
    limit = min(len(set(groups)), most)
    if limit < 2:
        raise DataError(
            f"{len(ordered)} clips in {len(set(groups))} group(s), at most {most} of a class, can't be divided"
        )
    count, parts = _ratio(fraction, limit)
    splitter = StratifiedGroupKFold(n_splits=parts, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # classes smaller than the number of parts
        pieces = [piece for _, piece in splitter.split(np.zeros(len(ordered)), labels, groups)]
    divisions = [_taken(pieces, start, count, len(ordered)) for start in range(parts)]
    size = fraction * len(ordered)
    taken = min(
        divisions, key=lambda part: (_lost(labels, np.flatnonzero(~part)), abs(np.count_nonzero(part) - size))
    )
    kept = [clip for clip, inside in zip(ordered, taken, strict=True) if not inside]
    return kept, [clip for clip, inside in zip(ordered, taken, strict=True) if inside]


def _ratio(fraction: float, limit: int) -> tuple[int, int]:
    """How many of how many parts (`limit` at most) come nearest to a fraction; few parts, to a hundredth."""
    choices = [(min(max(1, round(fraction * n)), n - 1), n) for n in range(2, min(limit, _MOST_PARTS) + 1)]
    return min(choices, key=lambda choice: (round(abs(choice[0] / choice[1] - fraction), 2), choice[1]))


def _taken(
    pieces: Sequence[npt.NDArray[np.intp]], start: int, count: int, clips: int
) -> npt.NDArray[np.bool_]:
    """bool [clips], true in `count` pieces from `start` on, around the end."""
    taken = np.zeros(clips, bool)
    for number in range(start, start + count):
        taken[pieces[number % len(pieces)]] = True
    return taken


def _share_note(name: str, asked: float, part: int, whole: int) -> tuple[str, ...]:
    """A note where a share came out otherwise than it was asked for."""
    if abs(part / whole - asked) <= _TOLERANCE:
        return ()
    return (
        f"{name} asks for {100 * asked:g} % of {whole} clips and {100 * part / whole:.0f} % ({part}) were cut: "
        "groups stay whole and the classes stay on both sides",
    )


def _lost(labels: Sequence[str], kept: Iterable[int]) -> int:
    """How many classes a division takes away altogether."""
    return len(set(labels)) - len({labels[i] for i in kept})


def _with_validation(
    name: str, rest: Sequence[Clip], test: Sequence[Clip], fraction: float | None, seed: int, shared: bool
) -> Fold:
    if fraction is None:
        return Fold(name, tuple(rest), (), tuple(test))
    try:
        train, val = cut(rest, fraction, seed)
        whole = not {clip.label for clip in rest} - {clip.label for clip in train}
    except DataError:
        whole = False
    if not whole:
        if not shared and any(clip.group for clip in rest):
            raise DataError(
                f"fold {name}: there are too few groups to cut validation from train without splitting one; "
                f"add groups, or cut by clip and let them leak with {_ALLOW}"
            )
        train, val = cut([replace(clip, group=None) for clip in rest], fraction, seed)
        groups = {clip.name: clip.group for clip in rest}
        train, val = ([replace(c, group=groups[c.name]) for c in part] for part in (train, val))
    absent = sorted({clip.label for clip in test} - {clip.label for clip in train})
    if absent:
        raise DataError(
            f"fold {name}: no training clip is left of {len(absent)} class(es): {shorten(absent)}; "
            "these need more clips (or more groups)"
        )
    notes = _share_note("data.val_fraction", fraction, len(val), len(rest))
    fold = Fold(name, tuple(train), tuple(val), tuple(test), notes)
    leaks = sorted(fold.shared_groups())
    if leaks and not shared:
        raise DataError(
            f"fold {name}: {len(leaks)} groups stand on both sides of a split ({shorten(leaks)}), so test clips "
            f"have been seen in training; correct the lists, or go on with {_ALLOW}"
        )
    if leaks:
        leaking = f"{len(leaks)} groups stand on both sides of a split: scores are too high"
        fold = replace(fold, notes=(leaking, *fold.notes))
    return fold


def holdout_fold(
    dataset: VideoDataset,
    test_fraction: float,
    val_fraction: float | None,
    seed: int,
    *,
    shared_groups: bool = False,
) -> Fold:
    """Train and test by group (or clip), validation cut from train; none with `val_fraction` None, where nothing is
    trained.

    Raises:
        DataError: too few clips or groups, or groups on both sides that were not allowed.
    """
    if len(dataset.clips) < 4:
        raise DataError(f"{dataset.root}: {len(dataset.clips)} clips are too few to train and test on")
    rest, test = cut(dataset.clips, test_fraction, seed)
    note = _share_note("data.test_fraction", test_fraction, len(test), len(dataset.clips))
    try:
        fold = _with_validation("holdout", rest, test, val_fraction, seed, shared_groups)
    except DataError as error:
        raise DataError(" ".join([str(error), *(f"({text})" for text in note)])) from error
    return replace(fold, notes=(*note, *fold.notes))


def leave_one_group_out(
    dataset: VideoDataset, val_fraction: float | None, seed: int, *, shared_groups: bool = False
) -> list[Fold]:
    """One fold per group: tested on that group, trained on the others.

    Raises:
        DataError: clips without a group, or fewer than 3 groups.
    """
    groups = sorted({clip.group for clip in dataset.clips if clip.group is not None})
    if any(clip.group is None for clip in dataset.clips) or len(groups) < 3:
        raise DataError(
            f"leaving one group out needs at least 3 groups, found {len(groups)}; set data.group_pattern"
        )
    return [
        _with_validation(
            f"{group}",
            [clip for clip in dataset.clips if clip.group != group],
            [clip for clip in dataset.clips if clip.group == group],
            val_fraction,
            seed,
            shared_groups,
        )
        for group in groups
    ]


def official_folds(
    dataset: VideoDataset, val_fraction: float | None, seed: int, *, shared_groups: bool = False
) -> list[Fold]:
    """The data set's own splits, with validation cut from each training list by group.

    Raises:
        DataError: the data set has none, a list is empty, or groups stand on both sides (and
            `shared_groups` does not allow it).
    """
    if not dataset.official:
        raise DataError(f"{dataset.root}: this data set comes without official splits")
    folds = []
    for name, (train, test) in sorted(dataset.official.items()):
        if not train or not test:
            raise DataError(
                f"{name}: its {'train' if not train else 'test'} list names no clip that is present"
            )
        rest = [clip for clip in dataset.clips if clip.name in train]
        held = [clip for clip in dataset.clips if clip.name in test]
        folds.append(_with_validation(name, rest, held, val_fraction, seed, shared_groups))
    return folds
