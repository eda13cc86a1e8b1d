"""What a finished run consists of: weights of one training, and what was fitted for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import CheckpointError
from .calibration import read_calibration
from .cascade import read_cascade
from .fitted_for import digest_of_weights, digests_of_weights
from .fold_folder import STAGES, FoldFolder

__all__ = ["files_of_run", "wrong_file"]


def files_of_run(root: Path, folds: Iterable[FoldFolder]) -> dict[str, str]:
    """The files of a run that is ending, as its metrics.json lists them.

    Args:
        root: the run folder.
        folds: of the run.

    Returns:
        Path below the run folder -> digest of the numbers of weights; "" of thresholds and temperatures.

    Raises:
        CheckpointError: weights are damaged.
    """
    listed: dict[str, str] = {}
    for fold in folds:
        digests = digests_of_weights(fold, STAGES)
        paths = {fold.weights(stream): digest for stream, digest in digests.items()}
        paths |= {path: "" for path in (fold.timeline, fold.cascade) if path.is_file()}
        listed |= {path.relative_to(root).as_posix(): digest for path, digest in paths.items()}
    return listed


def wrong_file(root: Path, folds: Iterable[FoldFolder], listed: Mapping[str, str]) -> str:
    """Which file of a run is missing, damaged or of another one, in words; "" if none is.

    Args:
        root: the run folder.
        folds: of the run.
        listed: what :func:`files_of_run` said; empty in runs of earlier versions.
    """
    for name, digest in listed.items():
        path = root / name
        if not path.is_file():
            return f"{name} is missing"
        try:
            if digest and digest_of_weights(path) != digest:
                return f"{name} is of another training"
        except CheckpointError:
            return f"{name} is damaged"
    for fold in folds:
        for path, read in ((fold.timeline, read_calibration), (fold.cascade, read_cascade)):
            try:
                read(path)
            except CheckpointError:
                return f"{path.relative_to(root).as_posix()} is damaged or was fitted for other weights"
    return ""
