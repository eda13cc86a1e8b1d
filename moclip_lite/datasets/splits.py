"""Division of clips: test is set apart first, validation is cut from the rest by group.

A group on both sides of a split is refused unless ``data.shared_groups`` allows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import DataError
from .clip import Clip, Fold, VideoDataset
from .fold_checks import ALLOW_SHARED, checked_groups
from .stratify import Positions, groups_of, most_parts, stratified_parts

__all__ = ["cut", "holdout_fold", "k_folds", "leave_one_group_out", "official_folds"]


def cut(clips: Sequence[Clip], fraction: float, seed: int) -> tuple[list[Clip], list[Clip]]:
    """Divide clips into (rest, part), where `part` is about `fraction` of each class.

    Clips of a group stay together; without groups each clip is its own group. The same clips,
    fraction and seed give the same division, in whatever order the clips come.

    Raises:
        DataError: there are too few groups to divide.
    """
    if not 0 < fraction < 1:
        raise DataError(f"a fraction must be between 0 and 1, got {fraction}")
    by_name = sorted(clips, key=lambda clip: clip.name)
    groups, labels = groups_of(by_name), [clip.label for clip in by_name]
    max_parts = most_parts(by_name)
    if max_parts < 2:
        largest_class = max(Counter(labels).values(), default=0)
        raise DataError(
            f"{len(by_name)} clips in {len(set(groups))} group(s), "
            f"at most {largest_class} of a class, can't be divided"
        )
    parts, taken = _ratio(fraction, max_parts)
    positions = [part for _, part in stratified_parts(by_name, parts, seed)]
    divisions = []
    for first in range(parts):
        part = np.concatenate([positions[(first + i) % parts] for i in range(taken)])
        divisions.append((np.setdiff1d(np.arange(len(by_name)), part), np.sort(part)))

    def cost(division: tuple[Positions, Positions]) -> tuple[int, float]:
        """Classes that the rest would lack, then the distance from the fraction."""
        rest, part = division
        return len(set(labels) - {labels[i] for i in rest}), abs(len(part) - fraction * len(by_name))

    rest, part = min(divisions, key=cost)
    return [by_name[i] for i in rest], [by_name[i] for i in part]


def _ratio(fraction: float, max_parts: int) -> tuple[int, int]:
    """(equal parts to divide into, parts to take) nearest to a fraction; the fewest parts within 1 %."""
    parts = min(max(2, round(1 / fraction)), max_parts)
    best = (parts, 1)
    if abs(1 / parts - fraction) <= 0.01 or fraction < 1 / max_parts:
        return best
    for parts in range(2, min(max_parts, 20) + 1):
        taken = min(max(1, round(fraction * parts)), parts - 1)
        if abs(taken / parts - fraction) < abs(best[1] / best[0] - fraction) - 1e-9:
            best = (parts, taken)
        if abs(best[1] / best[0] - fraction) <= 0.01:
            break
    return best


def _with_validation(
    name: str, rest: Sequence[Clip], test: Sequence[Clip], fraction: float, seed: int, shared: bool
) -> Fold:
    """A fold whose validation clips are cut from `rest`; none where `fraction` is 0, without training."""
    if fraction == 0:
        return Fold(name, tuple(rest), (), tuple(test))
    train, val = _cut_validation(name, rest, fraction, seed, shared)
    return checked_groups(Fold(name, tuple(train), tuple(val), tuple(test)), shared)


def _cut_validation(
    name: str, rest: Sequence[Clip], fraction: float, seed: int, shared: bool
) -> tuple[list[Clip], list[Clip]]:
    """(train, validation), by group; by clip if that would leave a class without training clips."""
    try:
        train, val = cut(rest, fraction, seed)
        complete = not {clip.label for clip in rest} - {clip.label for clip in train}
    except DataError:
        complete = False
    if not complete:
        if not shared and any(clip.group for clip in rest):
            raise DataError(
                f"fold {name}: there are too few groups to cut validation from train without splitting one; "
                f"add groups, or cut by clip and let them leak with {ALLOW_SHARED}"
            )
        train, val = cut([replace(clip, group=None) for clip in rest], fraction, seed)
        groups = {clip.name: clip.group for clip in rest}
        train, val = ([replace(clip, group=groups[clip.name]) for clip in part] for part in (train, val))
    return train, val


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
        DataError: too few clips or groups, or groups on both sides that are not allowed.
    """
    if len(dataset.clips) < 4:
        raise DataError(f"{dataset.shown}: {len(dataset.clips)} clips are too few to train and test on")
    rest, test = cut(dataset.clips, test_fraction, seed)
    return _with_validation("holdout", rest, test, val_fraction, seed, shared_groups)


def k_folds(
    dataset: VideoDataset, parts: int, val_fraction: float, seed: int, *, shared_groups: bool = False
) -> list[Fold]:
    """Folds named fold1, fold2, ...: each clip is tested once, by models trained on the other parts.

    Clips of a group stay together, and each part has about the same share of each class
    (scikit-learn's StratifiedGroupKFold).

    Raises:
        DataError: fewer groups (or clips of the largest class) than parts, or a class that only one part has.
    """
    clips = sorted(dataset.clips, key=lambda clip: clip.name)
    groups, most = set(groups_of(clips)), most_parts(clips)
    if len(groups) < parts:
        raise DataError(
            f"{dataset.shown}: {len(clips)} clips in {len(groups)} group(s) can't be divided into {parts} "
            "folds; set data.folds, or name more groups (data.group_pattern, data.table)"
        )
    if most < parts:
        raise DataError(
            f"{dataset.shown}: {len(clips)} clips, at most {most} of a class, can't be divided into {parts} "
            f"folds; set data.folds to {most} or less"
        )
    folds = []
    for number, (rest, test) in enumerate(stratified_parts(clips, parts, seed), start=1):
        name = f"fold{number}"
        if not len(test):
            raise DataError(f"fold {name}: its part of the clips is empty; choose fewer with data.folds")
        others, tested = [clips[i] for i in rest], [clips[i] for i in test]
        folds.append(_with_validation(name, others, tested, val_fraction, seed, shared_groups))
    return folds


def leave_one_group_out(
    dataset: VideoDataset,
    val_fraction: float,
    seed: int,
    *,
    shared_groups: bool = False,
    limit: int | None = None,
) -> list[Fold]:
    """One fold per group, tested on that group and trained on the others.

    Args:
        dataset: its clips have groups.
        val_fraction: share of the other clips for validation.
        seed: of the validation part, and of the groups that are drawn.
        shared_groups: cut validation by clip where there are too few groups.
        limit: at most so many folds, of groups that are drawn; None for all.

    Raises:
        DataError: clips without a group, or fewer than 3 groups.
    """
    groups = sorted({clip.group for clip in dataset.clips if clip.group is not None})
    if any(clip.group is None for clip in dataset.clips) or len(groups) < 3:
        raise DataError(
            f"leaving one group out needs at least 3 groups, found {len(groups)}; "
            "set data.group_pattern, or name groups in a table (data.table)"
        )
    if limit is not None and limit < len(groups):
        chosen = np.random.default_rng(seed).choice(len(groups), limit, replace=False)
        groups = [groups[i] for i in sorted(chosen.tolist())]
    return [
        _with_validation(
            group,
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
    """The official splits; validation is cut from the training lists by group where the data set names none.

    Raises:
        DataError: there are none, a list is empty, or groups are on both sides
            and `shared_groups` does not allow it.
    """
    if not dataset.official:
        raise DataError(f"{dataset.shown}: this data set comes without official splits")
    folds = []
    for name, (train, test) in sorted(dataset.official.items()):
        if not train or not test:
            raise DataError(
                f"{name}: its {'train' if not train else 'test'} list names no clip that is present"
            )
        train_clips, test_clips = (
            tuple(c for c in dataset.clips if c.name in part) for part in (train, test)
        )
        validation = dataset.validation.get(name)
        if validation is None or val_fraction == 0:
            folds.append(_with_validation(name, train_clips, test_clips, val_fraction, seed, shared_groups))
        else:
            val_clips = tuple(clip for clip in dataset.clips if clip.name in validation)
            folds.append(checked_groups(Fold(name, train_clips, val_clips, test_clips), shared_groups))
    return [_noting_left_out(fold, dataset) for fold in folds]


def _noting_left_out(fold: Fold, dataset: VideoDataset) -> Fold:
    outside = len(dataset.clips) - len(fold.clips())
    if not outside:
        return fold
    return replace(fold, notes=(*fold.notes, f"{outside} clips are in no part of it and are left out"))
