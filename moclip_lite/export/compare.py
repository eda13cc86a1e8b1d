"""Comparison of exported files, taken together, with what prediction computes by PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..engine.base import Engine
from ..engine.files import EngineFiles
from ..engine.runtime import OnnxEngine
from ..errors import MoclipError
from ..predict.classifier import Classifier
from ..results.fold_folder import ONNX_PARTS, FoldFolder
from ..streams import Stream
from .network import TOLERANCE

__all__ = ["compare_files"]

_PICTURE_SIZES: Final = ((48, 64), (301, 229))  # rows, columns: smaller and larger than the encoder's input


def compare_files(
    classifier: Classifier, run: FoldFolder, metadata: Mapping[str, Any], files: Mapping[str, Path]
) -> float:
    """Compare all files together, with the preprocessing of pictures, with what predict computes by PyTorch.

    Args:
        classifier: of the run, by PyTorch.
        run: its folder.
        metadata: what stands in model.json.
        files: "motion", "pictures" and the heads' streams -> file.

    Returns:
        The largest difference of a feature or probability,
        relative to the largest value where that exceeds 1.

    Raises:
        MoclipError: it is above TOLERANCE.
    """
    parts = {name: files[name] for name in ONNX_PARTS if name in files}
    networks = {name: path for name, path in files.items() if name != "pictures" and name not in parts}
    given = EngineFiles(networks, files.get("pictures"), metadata, parts)
    exported = OnnxEngine(given, classifier.experiment, run)
    difference = max(_differences(classifier, exported, "pictures" in files))
    if not difference <= TOLERANCE:
        raise MoclipError(
            f"{run.path}: the ONNX files together differ from predict "
            f"by {difference:.1e}, more than {TOLERANCE:.0e}; not written"
        )
    return difference


def _differences(classifier: Classifier, exported: Engine, pictures_too: bool) -> Iterator[float]:
    """How far another engine's features and probabilities are from a classifier's, for random input."""
    rng = np.random.default_rng(0)
    tokens = None
    if classifier.motion is not None:
        motion = (2 * rng.standard_normal(classifier.experiment.motion.shape)).astype(np.float16)
        tokens, scores = classifier.engine.motion_features(motion)
        for one, other in zip(exported.motion_features(motion), (tokens, scores), strict=True):
            yield _difference(one, other)
        if exported.encodes_segments:
            shared = exported.window_features(exported.segment_features(motion))
            for one, other in zip(shared, (tokens, scores), strict=True):
                yield _difference(one, other)
    for height, width in _PICTURE_SIZES if classifier.heads else ():
        own = classifier.own_appearance
        if own is not None:
            features = appearance = rng.standard_normal(own.shape).astype(np.float32)
        else:
            frames = classifier.experiment.clip.frames
            pictures = rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
            appearance = classifier.appearance_features(pictures)
            features = exported.appearance_features(pictures) if pictures_too else appearance
        yield _difference(features, appearance)
        for stream in classifier.heads:
            for given in (tokens, None) if stream is Stream.APPEARANCE else (tokens,):
                expected = classifier.head_scores(stream, given, appearance)
                yield _difference(exported.head_scores(stream, given, features), expected)


def _difference(one: Any, other: Any) -> float:
    """Largest difference, relative to the largest value where that exceeds 1."""
    return float(np.abs(one - other).max() / max(1.0, np.abs(other).max()))
