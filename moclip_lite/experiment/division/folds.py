"""The folds that a configuration asks for, made once and kept in the cache.

To divide thousands of clips by group takes seconds, and scikit-learn as long to import; a run that
has nothing to do should not wait for either.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...datasets import Fold, VideoDataset, holdout_fold, k_folds, leave_one_group_out, official_folds
from ...datasets.clip import shorten
from ...datasets.fewshot import limit_train
from ...datasets.settings import DataSettings
from ...errors import ConfigError, DataError
from ...storage.cache import FeatureCache
from ...storage.cache_keys import cache_key
from ...storage.digest import digest_bytes
from ..inputs.feature_file import FeatureFile

__all__ = ["divide", "divide_features", "division_of", "file_settings", "split_numbers"]

_LISTING: Final = "folds"  # name of the array with the names and notes of the folds
_DECIDING: Final = {
    "kind",
    "protocol",
    "folds",
    "test_fraction",
    "val_fraction",
    "train_per_class",
    "shared_groups",
}
"""Settings of a data set that decide its division; the clips are the rest of it."""

_FOLDS: Final = 5  # of data.protocol=kfold

_STATED: Final = ("protocol", "folds", "test_fraction", "val_fraction")

Arrays = dict[str, npt.NDArray[Any]]


def divide(dataset: VideoDataset, data: DataSettings, seed: int, cache: FeatureCache) -> list[Fold]:
    """The folds of a data set, from the cache if the same clips have been divided this way before.

    Raises:
        DataError: too few clips or groups.
        MoclipError: the disk is full.
    """
    settings = {**data.model_dump(mode="json", include=_DECIDING), "seed": seed}
    key = cache_key("folds", _listing(dataset), settings)
    cached = cache.get("folds", key)
    if cached is not None:
        try:
            return _unpack(cached, dataset)
        except (KeyError, ValueError, TypeError, IndexError, DataError):
            pass  # not written by this module: divided again
    folds = _divide(dataset, data, seed)
    cache.put("folds", key, _pack(folds, dataset))
    return folds


def divide_features(file: FeatureFile, data: DataSettings, seed: int, cache: FeatureCache) -> list[Fold]:
    """The folds of a file of features: its own where it has any.

    ``data.protocol=official`` means the file's own division too.

    Raises:
        ConfigError: another division is asked for, and the features are of a network that was trained on
            clips which that would test.
        DataError: no such split, or too few clips or groups.
    """
    dataset, division, other = file.dataset, division_of(file), _other_than(division_of(file), data)
    if not division or (other and not file.bound):
        return divide(dataset.with_splits([f"split{n}" for n in data.splits]), data, seed, cache)
    if other:
        name, value = next(iter(other.items()))
        raise ConfigError(
            f"{dataset.shown} holds features of a motion network that was trained on the training clips "
            f"of its own division (data.{name}={division[name]}); data.{name}={value} would test on them: "
            "leave it out, or make features of a run with that division"
        )
    if file.origin is None:
        official = data.model_copy(update={"protocol": "official"})
        return divide(dataset.with_splits([f"split{n}" for n in data.splits]), official, seed, cache)
    folds = {fold.name: fold for fold in file.origin.folds}
    if "splits" in data.model_fields_set and any(name.startswith("split") for name in folds):
        names = [f"split{n}" for n in data.splits]
        if absent := [name for name in names if name not in folds]:
            raise DataError(f"{dataset.shown}: no {shorten(absent)} among its folds, {', '.join(folds)}")
        folds = {name: folds[name] for name in names}
    if data.train_per_class is None:
        return list(folds.values())
    return [limit_train(fold, data.train_per_class, seed) for fold in folds.values()]


def keeps_division(file: FeatureFile, data: DataSettings) -> bool:
    """Whether a file of features is divided as it says itself."""
    division = division_of(file)
    return bool(division) and not _other_than(division, data)


def _other_than(division: Mapping[str, Any], data: DataSettings) -> dict[str, Any]:
    """Settings of a division that were given, where they differ from it."""
    return {n: value for n, value in _stated(data).items() if n in division and division[n] != value}


def file_settings(file: FeatureFile) -> dict[str, Any]:
    """Settings of the division of a file of features, as a configuration has them; {} if unknown."""
    division = division_of(file)
    fields: dict[str, Any] = {name: division[name] for name in _STATED if name in division}
    if file.origin is not None and (splits := split_numbers(fold.name for fold in file.origin.folds)):
        fields["splits"] = splits
    return fields


def split_numbers(names: Iterable[str]) -> tuple[int, ...]:
    """``data.splits`` of these names, as "split2"; () where others are among them."""
    numbers = [name.removeprefix("split") for name in names]
    return tuple(map(int, numbers)) if all(number.isdigit() for number in numbers) else ()


def division_of(file: FeatureFile) -> dict[str, Any]:
    """Settings of the division of a file of features, as the file has them; {} if unknown."""
    if file.origin is not None:
        return {"protocol": "official", **file.origin.division}
    return {"protocol": "official"} if file.dataset.official else {}


def _stated(data: DataSettings) -> dict[str, Any]:
    """The settings of a division that were given, as far as the protocol looks at them."""
    stated: dict[str, Any] = {name: getattr(data, name) for name in _STATED if name in data.model_fields_set}
    if stated.get("protocol") == "official":
        del stated["protocol"]
    if data.protocol != "holdout":
        stated.pop("test_fraction", None)
    return stated


def _divide(dataset: VideoDataset, data: DataSettings, seed: int) -> list[Fold]:
    shared = data.shared_groups
    if data.protocol == "leave-one-group-out":
        folds = leave_one_group_out(dataset, data.val_fraction, seed, shared_groups=shared, limit=data.folds)
    elif data.protocol == "kfold":
        folds = k_folds(dataset, data.folds or _FOLDS, data.val_fraction, seed, shared_groups=shared)
    elif (
        data.protocol == "official" or data.kind == "ucf101" or (data.kind != "features" and dataset.official)
    ):
        folds = official_folds(dataset, data.val_fraction, seed, shared_groups=shared)
    else:
        folds = [holdout_fold(dataset, data.test_fraction, data.val_fraction, seed, shared_groups=shared)]
    if data.train_per_class is not None:
        folds = [limit_train(fold, data.train_per_class, seed) for fold in folds]
    return folds


def _listing(dataset: VideoDataset) -> str:
    """Digest of all that a division looks at: clips in their order, and the data set's own splits."""
    rows = [[clip.name, clip.label, clip.group] for clip in dataset.clips]
    splits = {name: [sorted(part) for part in parts] for name, parts in dataset.official.items()}
    cuts = {name: sorted(part) for name, part in dataset.validation.items()}
    return digest_bytes([json.dumps([rows, splits, cuts], sort_keys=True).encode()])


def _pack(folds: list[Fold], dataset: VideoDataset) -> Arrays:
    """Positions of each fold's clips in the data set, int32, and the folds' names and notes as JSON."""
    place = {clip.name: i for i, clip in enumerate(dataset.clips)}
    listing = json.dumps([[fold.name, fold.notes] for fold in folds])
    arrays: Arrays = {_LISTING: np.frombuffer(listing.encode(), np.uint8)}
    for number, fold in enumerate(folds):
        for part in ("train", "val", "test"):
            arrays[f"{number}.{part}"] = np.array([place[c.name] for c in getattr(fold, part)], np.int32)
    return arrays


def _unpack(arrays: Mapping[str, npt.NDArray[Any]], dataset: VideoDataset) -> list[Fold]:
    folds = []
    for number, (name, notes) in enumerate(json.loads(arrays[_LISTING].tobytes())):
        train, val, test = (
            tuple(dataset.clips[i] for i in arrays[f"{number}.{part}"]) for part in ("train", "val", "test")
        )
        folds.append(Fold(name, train, val, test, tuple(notes)))
    return folds
