"""Scores of validation clips by heads that were not fitted to them, kept for decisions after training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ..errors import CheckpointError
from ..storage.files import read_tensors, write_tensors

__all__ = ["HeldOut", "read_held_out", "write_held_out"]

_CLIPS: Final = "clips"  # key of the metadata


@dataclass(frozen=True)
class HeldOut:
    """Clip names, and class probabilities float32 [N, C] in their order."""

    clips: Sequence[str]
    scores: npt.NDArray[np.float32]

    def rows(self) -> Mapping[str, npt.NDArray[np.float32]]:
        """Clip name -> class probabilities [C]."""
        return dict(zip(self.clips, self.scores, strict=True))


def write_held_out(path: Path, found: HeldOut) -> None:
    """Write the scores of the stream that answers."""
    write_tensors(path, {"scores": found.scores}, {_CLIPS: json.dumps(list(found.clips))})


def read_held_out(path: Path, classes: int) -> HeldOut | None:
    """Read what :func:`write_held_out` wrote; None if there is no such file.

    Raises:
        CheckpointError: damaged, or of another number of classes.
    """
    if not path.is_file():
        return None
    tensors, metadata = read_tensors(path)
    try:
        clips, scores = json.loads(metadata[_CLIPS]), np.asarray(tensors["scores"], np.float32)
    except (KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: it holds no scores of validation clips") from error
    named = isinstance(clips, list) and all(isinstance(name, str) for name in clips)
    if not named or scores.shape != (len(clips), classes) or not np.isfinite(scores).all():
        raise CheckpointError(f"{path} is damaged: its scores and its clips don't belong together")
    return HeldOut(clips, scores)
