"""File format of an index: one safetensors file whose content is checked when it is read."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from mv_tools.urls import spelled, url_of

from ..errors import CheckpointError, ConfigError
from ..mobileviclip import variant
from ..mobileviclip.encoder import ModelSpec
from ..storage.files import read_tensors, write_tensors
from ..storage.url_files import fetched
from .index import VideoFile, VideoIndex

__all__ = ["load_index", "save_index"]

_FORMAT: Final = "moclip-index-2"  # in 1, times counted from the first picture
_MAX_SECONDS: Final = 1e8  # of a video; three years


def save_index(path: Path, index: VideoIndex) -> None:
    """Write an index to a file, or to a URL."""
    description = {
        "root": spelled(index.root),
        "videos": [asdict(video) for video in index.videos],
        "model": asdict(index.model),
        "model_digest": index.model_digest,
        "model_text": index.model_text,
    }
    arrays: dict[str, npt.NDArray[Any]] = {
        "vectors": index.vectors,
        "video_of": index.video_of,
        "seconds": index.seconds,
    }
    write_tensors(path, arrays, {"format": _FORMAT, "about": json.dumps(description)})


def load_index(path: Path) -> VideoIndex:
    """Read and check an index.

    Raises:
        CheckpointError: missing, damaged, or not an index.
        OSError: it can't be read at its URL.
    """
    arrays, metadata = read_tensors(fetched(path))
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(
            f"{spelled(path)} is not an index of this version of the program; make one with moclip index"
        )
    try:
        description = json.loads(metadata["about"])
        index = VideoIndex(
            _path(description["root"]),
            tuple(_video(value) for value in description["videos"]),
            arrays["vectors"],
            arrays["video_of"],
            arrays["seconds"],
            _model(description["model"]),
            str(description["model_digest"]),
            str(description["model_text"]),
            source=path,
        )
        _check(index)
    except KeyError as error:
        raise CheckpointError(f"{spelled(path)} is damaged: it lacks {error}") from error
    except (TypeError, ValueError, ArithmeticError, RecursionError, ConfigError) as error:
        raise CheckpointError(f"{spelled(path)} is damaged: {error}") from error
    return index


def _path(value: Any) -> Path:
    """A path that can be passed to the system.

    Raises:
        ValueError: not a text, with characters that are not valid in paths, or a URL that is none.
    """
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"{value!r} is not a path")
    os.fsencode(value)  # refuses characters that are not valid in file names
    url_of(value)
    return Path(value)


def _video(value: dict[str, Any]) -> VideoFile:
    path = _path(value["path"])
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"the video {str(path)!r} lies outside the index's folder")
    return VideoFile(str(path), int(value["size"]), int(value["modified"]))


def _model(value: dict[str, Any]) -> ModelSpec:
    spec = ModelSpec(
        name=str(value["name"]),
        pretrained=str(value["pretrained"]),
        seed=int(value["seed"]),
        num_frames=int(value["num_frames"]),
    )
    variant(spec.name, num_frames=spec.num_frames)
    if not 0 <= spec.seed < 2**63:
        raise ValueError(f"the seed {spec.seed} of its model is out of range")
    return spec


def _check(index: VideoIndex) -> None:
    """Check shapes, types and ranges of an index.

    Raises:
        ValueError: one of them is wrong.
    """
    if index.vectors.ndim != 2 or not index.vectors.size:
        raise ValueError(f"vectors of shape {index.vectors.shape}, not [windows, dimensions]")
    count, dim = index.vectors.shape
    expected: Sequence[tuple[npt.NDArray[Any], tuple[int, ...], Any]] = (
        (index.vectors, (count, dim), np.float32),
        (index.video_of, (count,), np.int64),
        (index.seconds, (count, 2), np.float32),
    )
    for array, shape, dtype in expected:
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(f"an array has shape {array.shape}, {array.dtype} instead of {shape}")
    if index.video_of.min() < 0 or index.video_of.max() >= len(index.videos):
        raise ValueError("a window belongs to a video that is not listed")
    lengths = torch.from_numpy(index.vectors).norm(dim=1)
    if not bool(((lengths - 1).abs() < 1e-3).all()):
        raise ValueError("vectors are not of length 1")
    start, stop = index.seconds.T
    if not ((start >= 0) & (start <= stop) & (stop <= _MAX_SECONDS)).all():  # False for NaN too
        raise ValueError("a window's times are negative, reversed or implausible")
