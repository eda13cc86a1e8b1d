"""Clips, labels, splits and origin of features, as plain values beside the arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ...datasets import Clip, Fold, VideoDataset

__all__ = ["Origin", "dataset_of", "description_of", "origin_of"]

_PARTS: Final = ("train", "val", "test")


@dataclass(frozen=True)
class Origin:
    """The run that made features.

    Attributes:
        folds: its divisions, validation included.
        division: the settings that made them, such as protocol, test_fraction and seed.
        networks: fold name -> digest of its motion network; empty where the features are of appearance alone.
        encoder: model, pretrained and digest of the CLIP weights; empty where they are of motion alone.
        folder: the run folder.
        refitted: whether the networks were trained on the validation clips too.
    """

    folds: tuple[Fold, ...]
    division: Mapping[str, Any] = field(default_factory=dict)
    networks: Mapping[str, str] = field(default_factory=dict)
    encoder: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""
    refitted: bool = False


def description_of(dataset: VideoDataset, origin: Origin | None) -> dict[str, Any]:
    """Clips, labels, splits and origin in plain values; clips by number."""
    number = {clip.name: i for i, clip in enumerate(dataset.clips)}
    description: dict[str, Any] = {
        "clips": [[clip.name, clip.label, clip.group] for clip in dataset.clips],
        "labels": list(dataset.labels),
        "splits": {
            name: [sorted(number[n] for n in part) for part in parts]
            for name, parts in dataset.official.items()
        },
        "origin": None,
    }
    if origin is not None:
        folds = [
            {"name": f.name, **{part: [number[c.name] for c in getattr(f, part)] for part in _PARTS}}
            for f in origin.folds
        ]
        settings = {name: dict(getattr(origin, name)) for name in ("division", "networks", "encoder")}
        description["origin"] = {"folds": folds, **settings, "folder": origin.folder}
        if origin.refitted:
            description["origin"]["refitted"] = True
    return description


def dataset_of(path: Path, description: Mapping[str, Any]) -> VideoDataset:
    """Clips, labels and splits of a description; see :func:`description_of`.

    Raises:
        ValueError, KeyError, TypeError: they contradict each other.
    """
    labels = tuple(str(label) for label in description["labels"])
    clips = tuple(
        Clip(path, str(name), str(label), None if group is None else str(group))
        for name, label, group in description["clips"]
    )
    names = [clip.name for clip in clips]
    if not clips or len(set(names)) < len(names) or not {clip.label for clip in clips} <= set(labels):
        raise ValueError("its clips or labels contradict each other")
    official = {
        str(split): (_names(names, train), _names(names, test))
        for split, (train, test) in description["splits"].items()
    }
    return VideoDataset(path, clips, labels, official)


def _names(names: Sequence[str], places: Sequence[int]) -> frozenset[str]:
    if not all(type(i) is int and 0 <= i < len(names) for i in places):
        raise ValueError("a split names a clip that is not there")
    return frozenset(names[i] for i in places)


def origin_of(description: Mapping[str, Any], dataset: VideoDataset) -> Origin | None:
    """The origin of a description; None if it has none.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it contradicts the data set.
    """
    value = description.get("origin")
    if value is None:
        return None
    folds = []
    for row in value["folds"]:
        places = [row[part] for part in _PARTS]
        if not all(type(i) is int and 0 <= i < len(dataset.clips) for part in places for i in part):
            raise ValueError("a fold names a clip that is not there")
        train, val, test = (tuple(dataset.clips[i] for i in part) for part in places)
        folds.append(Fold(str(row["name"]), train, val, test))
    names = [fold.name for fold in folds]
    if not folds or len(set(names)) < len(names):
        raise ValueError("its folds contradict each other")
    networks, encoder = ({str(k): str(v) for k, v in value[key].items()} for key in ("networks", "encoder"))
    refitted = bool(value.get("refitted", False))
    return Origin(tuple(folds), dict(value["division"]), networks, encoder, str(value["folder"]), refitted)
