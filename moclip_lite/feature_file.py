"""Features of a whole data set in one safetensors file: heads can be trained without the videos."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .datasets import Clip, VideoDataset
from .digest import digest_file
from .errors import CheckpointError, DataError
from .storage import read_tensors, write_tensors

__all__ = ["FeatureFile", "load_features", "save_features"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FeatureFile:
    """Features and the clips they were made from.

    Attributes:
        dataset: clips (without videos), labels and splits.
        motion: float32 [N, segments, Dm], in the order of the clips.
        appearance: float32 [N, frames, Da].
        classes: float32 [C, Da], text embeddings of the labels, or None.
        digest: of the file.
    """

    dataset: VideoDataset
    motion: Floats
    appearance: Floats
    classes: Floats | None
    digest: str

    def rows(self, clips: Sequence[Clip]) -> npt.NDArray[np.intp]:
        """Positions of clips."""
        place = {clip.name: i for i, clip in enumerate(self.dataset.clips)}
        return np.array([place[clip.name] for clip in clips], np.intp)


def save_features(
    path: Path, dataset: VideoDataset, motion: Floats, appearance: Floats, classes: Floats | None = None
) -> None:
    """Write features atomically; shapes as of :class:`FeatureFile`, stored as float16.

    Raises:
        ValueError: shapes that do not fit the clips.
        MoclipError: the disk is full.
    """
    arrays = {"motion": motion, "appearance": appearance}
    if classes is not None:
        arrays["classes"] = classes
    _check_shapes(arrays, dataset)
    number = {clip.name: i for i, clip in enumerate(dataset.clips)}
    splits = {
        name: [sorted(number[n] for n in part) for part in parts] for name, parts in dataset.official.items()
    }
    about = {
        "clips": [[clip.name, clip.label, clip.group] for clip in dataset.clips],
        "labels": list(dataset.labels),
        "splits": splits,
    }
    half = {name: np.ascontiguousarray(array, np.float16) for name, array in arrays.items()}
    write_tensors(path, half, {"features": json.dumps(about)})


def load_features(path: Path) -> FeatureFile:
    """Read a file of :func:`save_features`.

    Raises:
        DataError: there is no such file.
        CheckpointError: damaged, or not such a file.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file of features (data.root)")
    arrays, metadata = read_tensors(path)
    try:
        dataset = _dataset(path, json.loads(metadata["features"]))
        found = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
        _check_shapes(found, dataset)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CheckpointError(f"{path} is not a file of features: {error}") from error
    for name, array in found.items():
        if not np.isfinite(array).all():
            raise CheckpointError(f"{path}: {name} holds a number that is not finite")
    return FeatureFile(dataset, found["motion"], found["appearance"], found.get("classes"), digest_file(path))


def _dataset(path: Path, about: Mapping[str, Any]) -> VideoDataset:
    labels = tuple(str(label) for label in about["labels"])
    clips = tuple(
        Clip(path, str(name), str(label), None if group is None else str(group))
        for name, label, group in about["clips"]
    )
    names = [clip.name for clip in clips]
    if not clips or len(set(names)) < len(names) or not {clip.label for clip in clips} <= set(labels):
        raise ValueError("its clips or labels contradict each other")
    official = {
        str(split): (frozenset(names[i] for i in train), frozenset(names[i] for i in test))
        for split, (train, test) in about["splits"].items()
    }
    return VideoDataset(path, clips, labels, official)


def _check_shapes(arrays: Mapping[str, npt.NDArray[Any]], dataset: VideoDataset) -> None:
    count = len(dataset.clips)
    for name in ("motion", "appearance"):
        if arrays[name].ndim != 3 or len(arrays[name]) != count or not arrays[name].size:
            raise ValueError(f"{name} must be [{count}, tokens, length], got {list(arrays[name].shape)}")
    if "classes" in arrays and arrays["classes"].shape != (
        len(dataset.labels),
        arrays["appearance"].shape[2],
    ):
        raise ValueError(f"classes must be [labels, length], got {list(arrays['classes'].shape)}")
