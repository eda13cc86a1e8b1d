"""Dividing clips: test is set apart first, validation is cut from the rest by group.

A group on both sides of a split is refused unless it is asked for.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from ..errors import DataError
from .clip import (
    Clip,
    Fold,
    VideoDataset,
    shorten,
)

__all__ = ["checked", "cut", "holdout_fold", "leave_one_group_out", "official_folds"]

_ALLOW: Final = "--set data.shared_groups=true"


def cut(clips: Sequence[Clip], fraction: float, seed: int) -> tuple[list[Clip], list[Clip]]:
    """Divide clips into (rest, part), `part` being about `fraction` of each class.

    Clips of a group stay together; without groups each clip is a group of its own. The same
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
    folds, taking = _parts(fraction, limit)
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # classes smaller than the number of folds
        single = [taken for _, taken in splitter.split(np.zeros(len(ordered)), labels, groups)]
    divisions = []
    for first in range(folds):
        chosen = np.concatenate([single[(first + i) % folds] for i in range(taking)])
        divisions.append((np.setdiff1d(np.arange(len(ordered)), chosen), np.sort(chosen)))
    size = fraction * len(ordered)
    kept, taken = min(divisions, key=lambda pair: (_lost(labels, pair[0].tolist()), abs(len(pair[1]) - size)))
    return [ordered[i] for i in kept], [ordered[i] for i in taken]


def _parts(fraction: float, limit: int) -> tuple[int, int]:
    """(equal parts to divide into, parts to take) nearest to a fraction; as few parts as do within 1 %."""
    single = min(max(2, round(1 / fraction)), limit)
    best = (single, 1)
    if abs(1 / single - fraction) <= 0.01 or fraction < 1 / limit:
        return best
    for folds in range(2, min(limit, 20) + 1):
        taking = min(max(1, round(fraction * folds)), folds - 1)
        if abs(taking / folds - fraction) < abs(best[1] / best[0] - fraction) - 1e-9:
            best = (folds, taking)
        if abs(best[1] / best[0] - fraction) <= 0.01:
            break
    return best


def _lost(labels: Sequence[str], kept: Sequence[int]) -> int:
    """How many classes a division takes away altogether."""
    return len(set(labels)) - len({labels[i] for i in kept})


def _with_validation(
    name: str, rest: Sequence[Clip], test: Sequence[Clip], fraction: float, seed: int, shared: bool
) -> Fold:
    if fraction == 0:  # nothing is trained
        return Fold(name, tuple(rest), (), tuple(test))
    train, val = _validation(name, rest, fraction, seed, shared)
    return _sound(Fold(name, tuple(train), tuple(val), tuple(test)), shared)


def _validation(
    name: str, rest: Sequence[Clip], fraction: float, seed: int, shared: bool
) -> tuple[list[Clip], list[Clip]]:
    """(train, validation)."""
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
    return train, val


def _sound(fold: Fold, shared: bool) -> Fold:
    """The fold, if it can be trained and no group stands on two sides of it; `shared` allows that."""
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
            f"fold {name}: {len(leaks)} groups stand on both sides of a split ({shorten(leaks)}), so test clips "
            f"have been seen in training; correct the lists, or go on with {_ALLOW}"
        )
    if leaks:
        fold = replace(
            fold, notes=(f"{len(leaks)} groups stand on both sides of a split: scores are too high",)
        )
    return fold


def checked(
    fold: Fold, labels: Sequence[str], digests: Mapping[str, str], *, wanted: float | None, shared: bool
) -> Fold:
    """A fold with notes on what its scores can't tell: absent classes, another share than was asked for.

    Args:
        fold: to look at.
        labels: all classes.
        digests: clip name -> digest of its content, as far as known.
        wanted: share of clips for test that was asked for, None where lists or groups decide.
        shared: go on where a clip's copy stands on another side.

    Raises:
        DataError: clips of equal content on two sides of the split, which `shared` does not allow.
    """
    notes = []
    first: dict[str, tuple[str, str]] = {}
    copies = []
    for part in ("train", "val", "test"):
        for clip in getattr(fold, part):
            digest = digests.get(clip.name)
            if digest is None:
                continue
            side, name = first.setdefault(digest, (part, clip.name))
            if side != part:
                copies.append(f"{name} in {side} = {clip.name} in {part}")
    if copies and not shared:
        raise DataError(
            f"fold {fold.name}: {len(copies)} clips have a copy of equal content on another side of the split "
            f"({shorten(copies, 3)}); remove the copies, or go on with {_ALLOW}"
        )
    if copies:
        notes.append(f"{len(copies)} clips have a copy on another side of the split: scores are too high")
    if wanted is not None:
        absent = sorted(set(labels) - {clip.label for clip in fold.test})
        if absent:
            notes.append(f"no test clip of {len(absent)} class(es): {shorten(absent)}")
        total = len(fold.clips())
        if wanted > 0 and abs(len(fold.test) - wanted * total) > max(1.0, 0.05 * total):
            notes.append(
                f"test holds {100 * len(fold.test) / total:.0f} % of the clips, {100 * wanted:.0f} % were asked for: "
                "classes and groups leave no nearer division"
            )
    return replace(fold, notes=(*fold.notes, *notes))


def holdout_fold(
    dataset: VideoDataset,
    test_fraction: float,
    val_fraction: float,
    seed: int,
    *,
    shared_groups: bool = False,
) -> Fold:
    """Train and test by group (or clip), validation cut from train.

    Raises:
        DataError: too few clips or groups, or groups on both sides that were not allowed.
    """
    if len(dataset.clips) < 4:
        raise DataError(f"{dataset.root}: {len(dataset.clips)} clips are too few to train and test on")
    rest, test = cut(dataset.clips, test_fraction, seed)
    return _with_validation("holdout", rest, test, val_fraction, seed, shared_groups)


def leave_one_group_out(
    dataset: VideoDataset, val_fraction: float, seed: int, *, shared_groups: bool = False
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
    dataset: VideoDataset, val_fraction: float, seed: int, *, shared_groups: bool = False
) -> list[Fold]:
    """The data set's own splits, with validation cut from each training list by group where it names none.

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
        chosen = dataset.validation.get(name)
        if chosen is None or val_fraction == 0:
            folds.append(_with_validation(name, rest, held, val_fraction, seed, shared_groups))
        else:
            val = [clip for clip in dataset.clips if clip.name in chosen]
            folds.append(_sound(Fold(name, tuple(rest), tuple(val), tuple(held)), shared_groups))
    return folds
