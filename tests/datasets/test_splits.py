"""Divisions of a data set: no clip and no group on two sides, and a refusal for each way it can't be divided."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moclip_lite.datasets import Clip, Fold, VideoDataset, holdout_fold, leave_one_group_out, official_folds
from moclip_lite.datasets.splits import cut
from moclip_lite.datasets.stratify import stratified_parts
from moclip_lite.errors import DataError


def dataset(classes: int = 3, groups: int = 6, clips: int = 2, *, grouped: bool = True) -> VideoDataset:
    """`clips` clips of each class and group."""
    labels = [f"class{number}" for number in range(classes)]
    rows = [
        Clip(Path(name), name, label, f"g{group}" if grouped else None)
        for label in labels
        for group in range(groups)
        for number in range(clips)
        for name in [f"{label}/g{group}_{number}.mp4"]
    ]
    return VideoDataset(Path("clips"), tuple(rows), tuple(labels))


def with_lists(whole: VideoDataset, test: Callable[[Clip], bool]) -> VideoDataset:
    """The data set with an official split."""
    names = {side: frozenset(c.name for c in whole.clips if test(c) == side) for side in (False, True)}
    return replace(whole, official={"split1": (names[False], names[True])})


def names_of(fold: Fold) -> tuple[set[str], set[str], set[str]]:
    train, val, test = ({clip.name for clip in part} for part in (fold.train, fold.val, fold.test))
    return train, val, test


def folds_of(protocol: str, whole: VideoDataset, seed: int = 0) -> list[Fold]:
    if protocol == "holdout":
        return [holdout_fold(whole, 0.25, 0.2, seed)]
    if protocol == "leave-one-group-out":
        return leave_one_group_out(whole, 0.2, seed)
    return official_folds(with_lists(whole, lambda clip: clip.group == "g0"), 0.2, seed)


PROTOCOLS = ("holdout", "leave-one-group-out", "official")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_clip_stands_on_one_side_and_groups_stay_together(protocol: str) -> None:
    all_clips = dataset()
    for fold in folds_of(protocol, all_clips):
        parts = names_of(fold)
        assert sum(map(len, parts)) == len(set.union(*parts)) == len(all_clips.clips)
        assert all(parts)
        assert not fold.shared_groups()
        assert {clip.label for clip in fold.train} == set(all_clips.labels)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_division_depends_on_the_seed_and_not_on_the_order(protocol: str) -> None:
    all_clips = dataset(groups=8)
    shuffled = list(all_clips.clips)
    random.Random(0).shuffle(shuffled)
    first = [names_of(fold) for fold in folds_of(protocol, all_clips)]
    assert [names_of(f) for f in folds_of(protocol, replace(all_clips, clips=tuple(shuffled)))] == first
    others = [[names_of(fold) for fold in folds_of(protocol, all_clips, seed)] for seed in range(1, 6)]
    assert any(other != first for other in others)


def test_every_group_is_tested_once() -> None:
    folds = leave_one_group_out(dataset(), 0.2, 0)
    assert [fold.name for fold in folds] == [f"g{number}" for number in range(6)]
    for fold in folds:
        assert {clip.group for clip in fold.test} == {fold.name}


def test_official_lists_are_followed_and_validation_comes_from_train() -> None:
    source = with_lists(dataset(), lambda clip: clip.group in ("g0", "g1"))
    (fold,) = official_folds(source, 0.2, 0)
    train, val, test = names_of(fold)
    assert (fold.name, test) == ("split1", set(source.official["split1"][1]))
    assert train | val == set(source.official["split1"][0])


def test_official_validation_is_followed() -> None:
    source = with_lists(dataset(), lambda clip: clip.group == "g0")
    chosen = frozenset(clip.name for clip in source.clips if clip.group == "g1")
    train = source.official["split1"][0] - chosen
    source = replace(
        source, official={"split1": (train, source.official["split1"][1])}, validation={"split1": chosen}
    )
    (fold,) = official_folds(source, 0.2, 0)
    assert names_of(fold)[:2] == (set(train), set(chosen))


def test_no_validation_where_nothing_is_trained() -> None:
    assert holdout_fold(dataset(), 0.25, 0, 0).val == ()


@pytest.mark.slow
@given(st.floats(0.05, 0.95), st.integers(2, 4), st.integers(2, 9), st.integers(1, 3), st.booleans())
def test_a_cut_keeps_all_clips_and_groups_whole(
    fraction: float, classes: int, groups: int, clips: int, grouped: bool
) -> None:
    source = dataset(classes, groups, clips, grouped=grouped)
    rest, part = cut(source.clips, fraction, 0)
    assert sorted(c.name for c in [*rest, *part]) == sorted(c.name for c in source.clips)
    assert rest
    assert part
    if grouped:
        assert not {c.group for c in rest} & {c.group for c in part}


# What is refused


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 2])
def test_a_fraction_outside_0_to_1_is_refused(fraction: float) -> None:
    with pytest.raises(DataError, match=f"between 0 and 1, got {fraction}"):
        cut(dataset().clips, fraction, 0)


def test_too_few_clips_or_groups_are_refused() -> None:
    with pytest.raises(DataError, match="3 clips"):
        holdout_fold(dataset(3, 1, 1), 0.25, 0.2, 0)
    with pytest.raises(DataError, match=r"1 group"):
        holdout_fold(dataset(2, 1, 4), 0.25, 0.2, 0)
    with pytest.raises(DataError, match=r"at least 3 groups, found 2.*group_pattern"):
        leave_one_group_out(dataset(groups=2), 0.2, 0)
    with pytest.raises(DataError, match="group_pattern"):
        leave_one_group_out(dataset(grouped=False), 0.2, 0)


def test_a_class_without_training_clips_is_refused() -> None:
    source = with_lists(dataset(), lambda clip: clip.label == "class1" or clip.group == "g0")
    with pytest.raises(DataError, match=r"1 class\(es\): class1"):
        official_folds(source, 0.2, 0)


def test_groups_on_both_sides_are_refused_or_noted() -> None:
    source = with_lists(dataset(), lambda clip: clip.name.endswith("_1.mp4"))
    with pytest.raises(DataError, match=r"6 groups.*data\.shared_groups=true"):
        official_folds(source, 0.2, 0)
    (fold,) = official_folds(source, 0.2, 0, shared_groups=True)
    assert fold.shared_groups()
    assert "6 groups" in fold.notes[0]


def test_validation_that_would_split_the_only_group_is_refused_or_cut_by_clip() -> None:
    source = with_lists(dataset(groups=2, clips=4), lambda clip: clip.group == "g1")
    with pytest.raises(DataError, match=r"split1.*data\.shared_groups=true"):
        official_folds(source, 0.25, 0)
    (fold,) = official_folds(source, 0.25, 0, shared_groups=True)
    assert {clip.group for clip in fold.val} == {clip.group for clip in fold.train} == {"g0"}


@pytest.mark.parametrize(("side", "named"), [(0, "train"), (1, "test")])
def test_an_empty_list_is_refused(side: int, named: str) -> None:
    source = with_lists(dataset(), lambda clip: clip.group == "g0")
    lists = list(source.official["split1"])
    lists[side] = frozenset()
    with pytest.raises(DataError, match=f"split1.*{named} list"):
        official_folds(replace(source, official={"split1": (lists[0], lists[1])}), 0.2, 0)


def test_a_data_set_without_lists_is_refused() -> None:
    with pytest.raises(DataError, match="official"):
        official_folds(dataset(), 0.2, 0)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("train", "val", "train.*validation"),
        ("train", "test", "train.*test"),
        ("val", "test", "validation.*test"),
    ],
)
def test_a_clip_on_two_sides_is_refused(first: str, second: str, words: str) -> None:
    *clips, twice = dataset().clips[:4]
    parts = {part: (clip,) for part, clip in zip(("train", "val", "test"), clips, strict=True)}
    both = {part: (*parts[part], twice) for part in (first, second)}
    with pytest.raises(DataError, match=rf"{twice.name}.*{words}"):
        Fold("x", **{**parts, **both})


@pytest.mark.parametrize(
    "sizes", [[18, 17, 16, 14, 13], list(range(13, 25)), [6, 9, 30, 12, 7, 21, 15, 8] * 3]
)
def test_seeds_divide_unlike_groups_in_other_ways(sizes: list[int]) -> None:
    """scikit-learn takes groups by the spread of their classes, so that its seed decides between equal ones."""
    rng = np.random.default_rng(4)
    clips = [
        Clip(Path(f"{group}_{number}"), f"{group}_{number}", f"c{rng.integers(5)}", group=f"g{group:02}")
        for group, size in enumerate(sizes)
        for number in range(size)
    ]
    tested, shares = set(), []
    for seed in range(12):
        rest, part = cut(clips, 0.25, seed)
        assert not {clip.group for clip in rest} & {clip.group for clip in part}
        tested.add(frozenset(clip.group for clip in part))
        shares.append(len(part) / len(clips))
    assert len(tested) >= min(4, len(sizes) - 2)
    assert all(0.12 < share < 0.4 for share in shares)


def test_parts_by_group_hold_like_shares_of_each_class() -> None:
    rng = np.random.default_rng(5)
    clips = [
        Clip(Path(f"{group}_{number}"), f"{group}_{number}", f"c{rng.integers(4)}", group=f"g{group:02}")
        for group in range(20)
        for number in range(int(rng.integers(8, 20)))
    ]
    for seed in range(8):
        parts = [part for _, part in stratified_parts(clips, 4, seed)]
        assert sorted(np.concatenate(parts)) == list(range(len(clips)))
        for label in ("c0", "c1", "c2", "c3"):
            counts = [sum(clips[i].label == label for i in part) for part in parts]
            assert max(counts) <= 2.5 * min(counts)
