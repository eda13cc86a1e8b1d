"""The folds that a configuration asks for, made once and kept in the cache.

To divide thousands of clips by group takes seconds, and scikit-learn as long to import; a run that
has nothing to do should not wait for either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .cache import FeatureCache
from .cache_keys import cache_key
from .config import DataConfig
from .datasets import Fold, VideoDataset, holdout_fold, leave_one_group_out, limit_train, official_folds
from .digest import digest_bytes
from .errors import DataError

__all__ = ["divide"]

_ABOUT: Final = "folds"
_DECIDES: Final = {
    "kind",
    "protocol",
    "test_fraction",
    "val_fraction",
    "train_per_class",
    "shared_groups",
}
"""What of a data set's configuration decides the division; the clips are the rest of it."""

Arrays = dict[str, npt.NDArray[Any]]


def divide(dataset: VideoDataset, data: DataConfig, seed: int, cache: FeatureCache) -> list[Fold]:
    """The folds of a data set, from the cache if the same clips have been divided this way before.

    Raises:
        DataError: too few clips or groups.
        MoclipError: the disk is full.
    """
    settings = {**data.model_dump(mode="json", include=_DECIDES), "seed": seed}
    key = cache_key("folds", _listing(dataset), settings)
    kept = cache.get("folds", key)
    if kept is not None:
        try:
            return _unpack(kept, dataset)
        except (KeyError, ValueError, TypeError, IndexError, DataError):
            pass  # not ours: divided again
    folds = _divide(dataset, data, seed)
    cache.put("folds", key, _pack(folds, dataset))
    return folds


def _divide(dataset: VideoDataset, data: DataConfig, seed: int) -> list[Fold]:
    shared = data.shared_groups
    if data.protocol == "leave-one-group-out":
        folds = leave_one_group_out(dataset, data.val_fraction, seed, shared_groups=shared)
    elif data.protocol == "official" or data.kind == "ucf101":
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
    return digest_bytes([json.dumps([rows, splits], sort_keys=True).encode()])


def _pack(folds: list[Fold], dataset: VideoDataset) -> Arrays:
    """Positions of each fold's clips in the data set, int32, and the folds' names and notes as JSON."""
    place = {clip.name: i for i, clip in enumerate(dataset.clips)}
    about = json.dumps([[fold.name, fold.notes] for fold in folds])
    arrays: Arrays = {_ABOUT: np.frombuffer(about.encode(), np.uint8)}
    for number, fold in enumerate(folds):
        for part in ("train", "val", "test"):
            arrays[f"{number}.{part}"] = np.array([place[c.name] for c in getattr(fold, part)], np.int32)
    return arrays


def _unpack(arrays: Mapping[str, npt.NDArray[Any]], dataset: VideoDataset) -> list[Fold]:
    folds = []
    for number, (name, notes) in enumerate(json.loads(arrays[_ABOUT].tobytes())):
        train, val, test = (
            tuple(dataset.clips[i] for i in arrays[f"{number}.{part}"]) for part in ("train", "val", "test")
        )
        folds.append(Fold(name, train, val, test, tuple(notes)))
    return folds
