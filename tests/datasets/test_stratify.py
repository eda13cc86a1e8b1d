"""Parts of whole groups and similar classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import sklearn
from sklearn.model_selection import StratifiedGroupKFold

from moclip_lite.datasets import Clip, VideoDataset, k_folds, stratify
from moclip_lite.datasets.stratify import Positions, groups_of, most_parts, stratified_parts
from moclip_lite.errors import DataError
from moclip_lite.experiment.fold.motion_networks import parts_of
from moclip_lite.tune.evaluate import divisions


def clips(groups: int | None) -> list[Clip]:
    return [
        Clip(
            Path(f"{i}.mp4"),
            f"{i:02}.mp4",
            "abc"[i % 3],
            None if groups is None else f"g{i * 7 % 5 % groups}",
        )
        for i in range(30)
    ]


@pytest.mark.parametrize("groups", [None, 5])
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_parts_are_those_of_scikit_learn_since_its_correction(groups: int | None, seed: int) -> None:
    if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8):
        pytest.skip("this scikit-learn shuffles counts without groups")
    ours = clips(groups)
    theirs = StratifiedGroupKFold(n_splits=3, shuffle=True, random_state=seed)
    expected = theirs.split(np.zeros(len(ours)), [clip.label for clip in ours], groups_of(ours))
    for (rest, part), (their_rest, their_part) in zip(stratified_parts(ours, 3, seed), expected, strict=True):
        assert rest.tolist() == their_rest.tolist()
        assert part.tolist() == their_part.tolist()


def test_parts_are_the_same_in_all_versions() -> None:
    (_, first), *others = stratified_parts(clips(None), 3, 1)
    assert first.tolist() == [0, 1, 11, 12, 17, 18, 19, 24, 25, 26, 28]
    assert sorted(i for _, part in [(None, first), *others] for i in part) == list(range(30))


@pytest.mark.parametrize("seed", range(4))
def test_classes_are_alike(seed: int) -> None:
    ours = clips(None)
    for _, part in stratified_parts(ours, 5, seed):
        assert sorted(ours[i].label for i in part) == [*"aabbcc"]


@pytest.mark.parametrize(("groups", "most"), [(20, 11), (300, 4), (1200, 2)])
def test_the_more_groups_the_fewer_divisions(groups: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of unlike groups, where none is even enough."""
    ours = [
        Clip(Path(f"{group}_{i}.mp4"), f"{group}_{i}.mp4", "abc"[i], f"g{group}")
        for group in range(groups)
        for i in range(1 + group % 3)
    ]
    divided: list[int] = []

    def divide(labels: Positions, numbers: Positions, chosen: npt.NDArray[np.bool_], parts: int) -> Positions:
        divided.append(len(set(numbers)))
        return numbers % parts

    monkeypatch.setattr(stratify, "_divide", divide)
    monkeypatch.setattr(stratify, "_spread", lambda labels, part, parts: float(len(divided)))
    stratified_parts(ours, 2, 0)
    assert divided == most * [groups]


def test_no_more_parts_than_the_largest_class_has_clips() -> None:
    """Each way to divide clips says so, or takes fewer; 30 clips of 3 classes are 30 groups."""
    ours = clips(None)
    assert (most_parts(ours), most_parts(clips(5)), most_parts([])) == (10, 5, 0)
    dataset = VideoDataset(Path("data"), tuple(ours), ("a", "b", "c"))
    with pytest.raises(DataError, match=r"at most 10 of a class, .* 11 folds; set data\.folds to 10 or less"):
        k_folds(dataset, 11, 0.2, 0)
    assert len(k_folds(dataset, 10, 0.2, 0)) == 10
    with pytest.raises(DataError, match=r"at most 10 of a class, .* 11 parts; lower --parts"):
        divisions(ours, (), 11, 0)
    assert len(parts_of(ours, 11, 0)) == 10
