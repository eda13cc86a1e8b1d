"""Features of a whole data set in one safetensors file: heads can be trained without the videos.

The file records how its clips are divided. Features of a trained motion network can be used with that
division only: any other would test on clips that the network was trained on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from ..datasets import Clip, Fold, VideoDataset
from ..errors import CheckpointError, DataError
from ..storage.digest import digest_bytes, digest_file
from ..storage.files import read_tensors, write_tensors
from .feature_description import Origin, dataset_of, description_of, origin_of

__all__ = ["REFITTED", "FeatureFile", "FeatureRows", "described_file", "load_features", "save_features"]

Floats = npt.NDArray[np.float32]
REFITTED: Final = (
    "the motion network of these features was trained on the validation clips too (train_motion.refit): heads that are "
    "trained on the file choose their settings on clips that it has seen, and trust motion too much; features for the "
    "training of heads are those of a run with train_motion.refit=false"
)
"""Warning shown where such a file is written and used."""

_MAX_FLOAT16: Final = 65504.0


class FeatureRows(Protocol):
    """Features that are read as they are needed."""

    def read(
        self, columns: Sequence[str], positions: npt.NDArray[np.int64]
    ) -> Iterator[tuple[npt.NDArray[np.int64], list[Floats]]]:
        """Positions of clips -> (places in them, for each column float32 [places, ...]), a part at a time."""


@dataclass(frozen=True)
class FeatureFile:
    """Features and the clips they were made from; of one stream alone or of both.

    Attributes:
        dataset: clips (without videos), labels and splits.
        motion: float32 [N, segments, Dm], in the order of the clips, where one network made them; None else.
        fold_motion: fold name -> float32 [n, segments, Dm], in the order train, validation, test of the fold,
            where each fold has its own network.
        appearance: float32 [N, frames, Da], or None.
        classes: float32 [C, Da], text embeddings of the labels, or None.
        digest: of the file.
        origin: the run that made it, or None.
        bound: whether no other division than its own may be used.
        stream: reads the features where they are not in memory; `motion`, `fold_motion` and `appearance` are
            empty then.
        buffer: clips in memory where features are streamed; None where all are.
        shapes: column -> shape of a clip's features: "motion" or "motion.0" ..., and "appearance".
    """

    dataset: VideoDataset
    motion: Floats | None
    appearance: Floats | None
    classes: Floats | None
    digest: str
    fold_motion: Mapping[str, Floats] = field(default_factory=dict)
    origin: Origin | None = None
    bound: bool = False
    stream: FeatureRows | None = None
    buffer: int | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def has_motion(self) -> bool:
        """Whether there are features of the motion stream."""
        return any(name.startswith("motion") for name in self.shapes)

    @property
    def has_appearance(self) -> bool:
        """Whether there are features of the appearance stream."""
        return "appearance" in self.shapes

    def motion_column(self, fold: str) -> str | None:
        """Name of the column with a fold's motion features; None without motion."""
        if "motion" in self.shapes or self.origin is None:
            return "motion" if "motion" in self.shapes else None
        names = [each.name for each in self.origin.folds]
        return f"motion.{names.index(fold)}" if self.has_motion and fold in names else None

    def streamed(self, buffer: int) -> FeatureFile:
        """The same file, of which no more clips than the buffer holds are handed out at once."""
        if len(self.dataset.clips) <= buffer or self.stream is not None:
            return self
        return replace(
            self, motion=None, fold_motion={}, appearance=None, stream=_MemoryRows(self), buffer=buffer
        )

    def in_memory(self) -> FeatureFile:
        """The same features, read into memory."""
        assert self.stream is not None
        folds = () if self.origin is None else self.origin.folds
        sizes = {f"motion.{i}": self.rows(fold.clips()) for i, fold in enumerate(folds)}
        every = np.arange(len(self.dataset.clips))
        arrays = {}
        for name, shape in self.shapes.items():
            positions = np.asarray(sizes.get(name, every), np.int64)
            arrays[name] = np.empty((len(positions), *shape), np.float32)
            for places, (numbers,) in self.stream.read([name], positions):
                arrays[name][places] = numbers
        return replace(
            self,
            motion=arrays.get("motion"),
            appearance=arrays.get("appearance"),
            fold_motion={
                f.name: arrays[f"motion.{i}"] for i, f in enumerate(folds) if f"motion.{i}" in arrays
            },
            stream=None,
            buffer=None,
        )

    def rows(self, clips: Sequence[Clip]) -> npt.NDArray[np.intp]:
        """Positions of clips."""
        place = {clip.name: i for i, clip in enumerate(self.dataset.clips)}
        return np.array([place[clip.name] for clip in clips], np.intp)

    def content_digests(self) -> dict[str, str]:
        """Clip name -> digest of its features, those of frames where there are any; zeros tell nothing and are left out.

        Empty where the features are streamed.
        """
        features = self.appearance if self.appearance is not None else self.motion
        if features is None:
            return {}
        rows = zip(self.dataset.clips, features, strict=True)
        return {clip.name: digest_bytes([row.tobytes()]) for clip, row in rows if row.any()}

    def network_digest(self, fold: str) -> str:
        """Digest of what made a fold's motion features: its motion network if known, else the file."""
        networks = {} if self.origin is None else self.origin.networks
        return networks.get(fold, self.digest)

    def motion_of(self, fold: str) -> dict[str, Floats]:
        """Clip name -> float32 [segments, Dm] by the fold's motion network; empty without motion."""
        if self.motion is not None:
            return {clip.name: row for clip, row in zip(self.dataset.clips, self.motion, strict=True)}
        if self.origin is None or fold not in self.fold_motion:
            return {}
        clips = next(f for f in self.origin.folds if f.name == fold).clips()
        return {clip.name: row for clip, row in zip(clips, self.fold_motion[fold], strict=True)}


def save_features(
    path: Path,
    dataset: VideoDataset,
    motion: Floats | Mapping[str, Floats] | None,
    appearance: Floats | None,
    classes: Floats | None = None,
    origin: Origin | None = None,
) -> None:
    """Write features atomically, as float16 where their size allows it.

    Args:
        path: of the file.
        dataset: clips, labels and splits.
        motion: as :attr:`FeatureFile.motion`, or as :attr:`FeatureFile.fold_motion`, or None.
        appearance: as :attr:`FeatureFile.appearance`, or None.
        classes: as :attr:`FeatureFile.classes`.
        origin: the run that made them; None for features of networks that saw none of the clips.

    Raises:
        ValueError: no features, or shapes that do not fit the clips.
        MoclipError: the disk is full.
    """
    arrays = {"appearance": appearance, "classes": classes}
    if isinstance(motion, Mapping):
        names = [] if origin is None else [fold.name for fold in origin.folds]
        if set(names) != set(motion):
            raise ValueError(f"motion of the folds {sorted(motion)} for a file with the folds {names}")
        arrays |= {f"motion.{names.index(name)}": array for name, array in motion.items()}
    else:
        arrays["motion"] = motion
    present = {name: array for name, array in arrays.items() if array is not None}
    folds = () if origin is None else origin.folds
    _check_shapes(present, dataset, folds)
    stored = {name: _small(array) for name, array in present.items()}
    write_tensors(path, stored, {"features": json.dumps(description_of(dataset, origin))})


class _MemoryRows(FeatureRows):
    """Features of a file that is in memory, read as if they were elsewhere."""

    def __init__(self, file: FeatureFile) -> None:
        self._file = file
        self._columns = {"motion": file.motion, "appearance": file.appearance}

    def read(
        self, columns: Sequence[str], positions: npt.NDArray[np.int64]
    ) -> Iterator[tuple[npt.NDArray[np.int64], list[Floats]]]:
        yield np.arange(len(positions)), [self._column(name)[positions] for name in columns]

    def _column(self, name: str) -> Floats:
        array = self._columns.get(name)
        if array is None:  # of one fold: put where its clips stand
            assert self._file.origin is not None
            fold = self._file.origin.folds[int(name.removeprefix("motion."))]
            rows = self._file.fold_motion[fold.name]
            array = np.zeros((len(self._file.dataset.clips), *rows.shape[1:]), np.float32)
            array[self._file.rows(fold.clips())] = rows
            self._columns[name] = array
        return array


def _small(array: Floats) -> npt.NDArray[Any]:
    dtype = np.float16 if np.abs(array).max(initial=0) <= _MAX_FLOAT16 else np.float32
    return np.ascontiguousarray(array, dtype)


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
        description = json.loads(metadata["features"])
        features = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
        file = described_file(path, description, features, {}, digest_file(path))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, DataError) as error:
        raise CheckpointError(f"{path} is not a file of features: {error}") from error
    for name, array in features.items():
        if not np.isfinite(array).all():
            raise CheckpointError(f"{path}: {name} holds a number that is not finite")
    return file


def described_file(
    path: Path,
    description: Mapping[str, Any],
    features: Mapping[str, Floats],
    elsewhere: Mapping[str, tuple[int, ...]],
    digest: str,
) -> FeatureFile:
    """Features and their description, if they fit together.

    Args:
        path: where they come from.
        description: clips, labels, splits and origin; see :func:`description_of`.
        features: name -> array.
        elsewhere: name -> shape of a clip's features, of those that are not in memory.
        digest: of all features.

    Raises:
        ValueError, KeyError, TypeError, IndexError, AttributeError, DataError: they contradict each other.
    """
    dataset = dataset_of(path, description)
    origin = origin_of(description, dataset)
    folds = () if origin is None else origin.folds
    _check_shapes(features, dataset, folds, elsewhere)
    shapes = {name: array.shape[1:] for name, array in features.items() if name != "classes"}
    # A version that wrote no origin made such files of trained networks only.
    trained = "origin" not in description and bool(dataset.official)
    return FeatureFile(
        dataset,
        features.get("motion"),
        features.get("appearance"),
        features.get("classes"),
        digest,
        {f.name: features[f"motion.{i}"] for i, f in enumerate(folds) if f"motion.{i}" in features},
        origin,
        bound=trained if origin is None else bool(origin.networks),
        shapes={**shapes, **elsewhere},
    )


def _check_shapes(
    arrays: Mapping[str, npt.NDArray[Any]],
    dataset: VideoDataset,
    folds: Sequence[Fold],
    elsewhere: Mapping[str, tuple[int, ...]] | None = None,
) -> None:
    """Refuse features that do not fit the clips; `elsewhere` has shapes of a clip's features that are not in
    memory."""
    sizes = {"motion": len(dataset.clips), "appearance": len(dataset.clips)}
    sizes |= {f"motion.{i}": len(fold.clips()) for i, fold in enumerate(folds)}
    shapes = {name: array.shape for name, array in arrays.items() if name in sizes}
    shapes |= {name: (sizes[name], *shape) for name, shape in (elsewhere or {}).items()}
    if not shapes:
        raise ValueError("it holds no features: neither motion nor appearance")
    for name, shape in shapes.items():
        if len(shape) != 3 or shape[0] != sizes[name] or 0 in shape:
            raise ValueError(f"{name} must be [{sizes[name]}, tokens, length], got {list(shape)}")
    by_fold = [name for name in shapes if name.startswith("motion.")]
    if by_fold and ("motion" in shapes or len(by_fold) < len(folds)):
        raise ValueError("motion must be there once, or once for each fold")
    if "classes" in arrays:
        length = shapes["appearance"][2] if "appearance" in shapes else arrays["classes"].shape[-1]
        if arrays["classes"].shape != (len(dataset.labels), length):
            raise ValueError(f"classes must be [labels, length], got {list(arrays['classes'].shape)}")
