"""Division of clips: test is set apart first, validation is cut from the rest by group.

A group on both sides of a split is refused unless ``data.shared_groups`` allows it.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..sampling import Segment
from .clip import Clip, Fold, VideoDataset, shorten

__all__ = ["checked", "cut", "holdout_fold", "k_folds", "leave_one_group_out", "official_folds"]

Positions: TypeAlias = npt.NDArray[np.int64]

_ALLOW: Final = "--set data.shared_groups=true"


def cut(clips: Sequence[Clip], fraction: float, seed: int) -> tuple[list[Clip], list[Clip]]:
    """Divide clips into (rest, part), where `part` is about `fraction` of each class.

    Clips of a group stay together; without groups each clip is its own group. The same clips,
    fraction and seed give the same division, in whatever order the clips come.

    Raises:
        DataError: there are too few groups to divide.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # a second to import, and not needed by workers

    if not 0 < fraction < 1:
        raise DataError(f"a fraction must be between 0 and 1, got {fraction}")
    by_name = sorted(clips, key=lambda clip: clip.name)
    groups = [clip.group if clip.group is not None else clip.name for clip in by_name]
    labels = [clip.label for clip in by_name]
    largest_class = max(Counter(labels).values(), default=0)
    max_parts = min(len(set(groups)), largest_class)
    if max_parts < 2:
        raise DataError(
            f"{len(by_name)} clips in {len(set(groups))} group(s), at most {largest_class} of a class, "
            "can't be divided"
        )
    parts, taken = _ratio(fraction, max_parts)
    splitter = StratifiedGroupKFold(n_splits=parts, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # classes smaller than the number of parts
        positions = [part for _, part in splitter.split(np.zeros(len(by_name)), labels, groups)]
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
    """A fold whose validation clips are cut from `rest`; none if `fraction` is 0, where nothing is trained."""
    if fraction == 0:
        return Fold(name, tuple(rest), (), tuple(test))
    train, val = _cut_validation(name, rest, fraction, seed, shared)
    return _checked_groups(Fold(name, tuple(train), tuple(val), tuple(test)), shared)


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
                f"add groups, or cut by clip and let them leak with {_ALLOW}"
            )
        train, val = cut([replace(clip, group=None) for clip in rest], fraction, seed)
        groups = {clip.name: clip.group for clip in rest}
        train, val = ([replace(clip, group=groups[clip.name]) for clip in part] for part in (train, val))
    return train, val


def _checked_groups(fold: Fold, shared: bool) -> Fold:
    """The fold, if each class has training clips and no group is on two sides; `shared` allows the latter."""
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
        DataError: clips of equal content, or overlapping segments of a video, on two sides of the split, which
            `shared` does not allow.
    """
    notes = []
    for pairs, has in (
        (_copies(fold, digests), "have a copy of equal content on"),
        (_overlaps(fold), "are segments that overlap one on"),
    ):
        if pairs and not shared:
            raise DataError(
                f"fold {fold.name}: {len(pairs)} clips {has} another side of the split ({shorten(pairs, 3)}); "
                f"remove these, or go on with {_ALLOW}"
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
                f"test holds {100 * len(fold.test) / total:.0f} % of the clips, {100 * test_fraction:.0f} % were "
                "asked for: classes and groups leave no nearer division"
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
    """Pairs of overlapping segments of one file on two sides of the split, in words; one pair per clip at most."""
    sides: dict[Path, list[tuple[Segment, str, str]]] = {}
    for part in ("train", "val", "test"):
        for clip in getattr(fold, part):
            if clip.segment is not None:
                sides.setdefault(clip.path, []).append((clip.segment, part, clip.name))
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
        raise DataError(f"{dataset.root}: {len(dataset.clips)} clips are too few to train and test on")
    rest, test = cut(dataset.clips, test_fraction, seed)
    return _with_validation("holdout", rest, test, val_fraction, seed, shared_groups)


def k_folds(
    dataset: VideoDataset, parts: int, val_fraction: float, seed: int, *, shared_groups: bool = False
) -> list[Fold]:
    """Folds named fold1, fold2, ...: each clip is tested once, by models trained on the other parts.

    Clips of a group stay together, and each part has about the same share of each class (scikit-learn's
    StratifiedGroupKFold).

    Raises:
        DataError: fewer groups (or clips) than parts, or a class that only one part has.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    clips = sorted(dataset.clips, key=lambda clip: clip.name)
    groups = [clip.group if clip.group is not None else clip.name for clip in clips]
    if len(set(groups)) < parts:
        raise DataError(
            f"{dataset.root}: {len(clips)} clips in {len(set(groups))} group(s) can't be divided into {parts} folds; "
            "set data.folds, or name more groups (data.group_pattern, data.table)"
        )
    splitter = StratifiedGroupKFold(n_splits=parts, shuffle=True, random_state=seed)
    folds = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # classes smaller than the number of parts
        divisions = list(splitter.split(np.zeros(len(clips)), [clip.label for clip in clips], groups))
    for number, (rest, test) in enumerate(divisions, start=1):
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
            f"leaving one group out needs at least 3 groups, found {len(groups)}; set data.group_pattern, or name "
            "groups in a table (data.table)"
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
        DataError: there are none, a list is empty, or groups are on both sides and `shared_groups` does
            not allow it.
    """
    if not dataset.official:
        raise DataError(f"{dataset.root}: this data set comes without official splits")
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
            folds.append(_checked_groups(Fold(name, train_clips, val_clips, test_clips), shared_groups))
    return folds
