"""Folds are made once, kept, and made again when anything that decides them changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moclip_lite.datasets import Clip, VideoDataset
from moclip_lite.datasets.settings import DataSettings
from moclip_lite.experiment.division import folds as division
from moclip_lite.experiment.division.folds import divide
from moclip_lite.experiment.fold.features import MotionFeatures
from moclip_lite.storage import cache_keys
from moclip_lite.storage.cache import FeatureCache


def dataset(groups: int = 6) -> VideoDataset:
    names = [f"{label}/p{group}_{i}.mp4" for label in "abc" for group in range(groups) for i in range(2)]
    clips = tuple(Clip(Path(name), name, name[0], name[2:4]) for name in names)
    official = {"split1": (frozenset(n for n in names if n[2:4] != "p0"), frozenset(n for n in names if n[2:4] == "p0"))}  # fmt: skip
    return VideoDataset(Path("clips"), clips, ("a", "b", "c"), official)


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "cache")


@pytest.mark.parametrize("protocol", ["holdout", "official", "leave-one-group-out"])
@pytest.mark.parametrize("few", [None, 2])
def test_kept_folds_are_the_folds(
    protocol: str, few: int | None, cache: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DataSettings(protocol=protocol, train_per_class=few)  # type: ignore[arg-type]
    made = divide(dataset(), data, 0, cache)
    with monkeypatch.context() as patch:
        patch.delattr(division, "_divide")  # the second time nothing is divided
        assert divide(dataset(), data, 0, cache) == made
    (entry,) = cache.entries()
    entry.path.write_bytes(entry.path.read_bytes()[:-1])
    assert divide(dataset(), data, 0, cache) == made


def test_notes_are_kept(cache: FeatureCache) -> None:
    data = DataSettings(protocol="official", shared_groups=True)
    whole = dataset()
    train, test = whole.official["split1"]
    moved = frozenset(name for name in train if name.endswith("p1_0.mp4"))
    leaking = replace(whole, official={"split1": (train - moved, test | moved)})
    first, again = (divide(leaking, data, 0, cache) for _ in range(2))
    assert "both sides" in first[0].notes[0]
    assert again == first


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"val_fraction": 0.5},
        {"test_fraction": 0.5},
        {"train_per_class": 3},
        {"protocol": "leave-one-group-out"},
        {"shared_groups": True},
        {"clip": "gone"},
        {"clip": "group"},
        {"clip": "label"},
        {"splits": True},
        {"version": "scikit-learn"},
        {"version": "moclip-lite"},
    ],
    ids=str,
)
def test_what_decides_them_is_noticed(
    other: dict[str, object], cache: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = dataset()
    divide(whole, DataSettings(), 0, cache)
    seed = other.pop("seed", 0)
    first, rest = whole.clips[0], whole.clips[1:]
    if (change := other.pop("clip", None)) is not None:
        kept = {"gone": (), "group": (replace(first, group="p9"),), "label": (replace(first, label="b"),)}
        whole = replace(whole, clips=kept[str(change)] + rest)
    if other.pop("splits", False):
        whole = replace(whole, official={})
    if (package := other.pop("version", None)) is not None:
        real = cache_keys.package_version
        monkeypatch.setattr(
            cache_keys, "package_version", lambda name="moclip-lite": "9" if name == package else real(name)
        )
        cache_keys._versions.cache_clear()
    divide(whole, DataSettings(**other), int(str(seed)), cache)  # type: ignore[arg-type]
    assert len(list(cache.entries())) == 2
    cache_keys._versions.cache_clear()


def test_an_entry_of_another_make_is_divided_again(cache: FeatureCache) -> None:
    made = divide(dataset(), DataSettings(), 0, cache)
    (entry,) = cache.entries()
    arrays = cache.get("folds", entry.key)
    assert arrays is not None
    for wrong in ({}, {**arrays, "0.val": arrays["0.test"]}, {**arrays, "0.val": np.array([999], np.int32)}):
        cache.put("folds", entry.key, wrong)
        assert divide(dataset(), DataSettings(), 0, cache) == made


def test_clips_without_motion_are_guessed_evenly() -> None:
    """Of equal probabilities the first class would be the answer, and right wherever it is."""
    clips = [Clip(Path(f"{i}.mp4"), f"{i}.mp4", "a") for i in range(400)]
    features = MotionFeatures({}, {})
    scores = features.scores_of(clips, 4)
    assert np.allclose(scores, 0.25, atol=1e-5)
    counts = np.bincount(scores.argmax(axis=1), minlength=4)
    assert counts.min() > 60
    assert np.array_equal(scores, features.scores_of(clips, 4))
