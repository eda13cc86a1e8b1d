"""Writing and reading the features of a data set as one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...datasets import Fold, VideoDataset
from ...errors import CheckpointError, DataError
from ...storage.digest import digest_file
from ...storage.files import read_tensors, write_tensors
from .feature_description import Origin, dataset_of, description_of, origin_of
from .feature_file import FeatureFile

__all__ = ["REFITTED", "described_file", "load_features", "save_features"]

Floats = npt.NDArray[np.float32]
REFITTED: Final = (
    "the motion network of these features was trained on the validation clips too (train_motion.refit): "
    "heads that are trained on the file choose their settings on clips that it has seen, and trust motion "
    "too much; features for the training of heads are those of a run with train_motion.refit=false"
)
"""Warning shown where such a file is written and used."""

_MAX_FLOAT16: Final = 65504.0


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
    """Refuse features that do not fit the clips; `elsewhere` has shapes of features not in memory."""
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
