"""Files of features, and the features of runs, as shards."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mv_tools.urls import is_url

from ..shards.index import Column, ShardIndex
from ..storage.files import tensor_slices
from .feature_export import export_features
from .inputs.feature_shards import pack_features
from .inputs.feature_storage import load_features
from .output_place import refuse_among_classes

if TYPE_CHECKING:
    from .session import Session

__all__ = ["pack_file", "pack_run"]

_SHARD_ROWS = 65_536


def pack_file(
    path: Path,
    folder: Path,
    shard_rows: int = _SHARD_ROWS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ShardIndex:
    """Write a file of features as shards, bit for bit.

    Args:
        path: as :func:`moclip_lite.experiment.inputs.feature_storage.save_features` wrote it.
        folder: to write.
        shard_rows: clips of a shard.
        progress: called with (clips written, clips).

    Raises:
        DataError, CheckpointError: the file can't be used.
        ConfigError: the folder holds something else.
    """
    file = load_features(path)
    folds = () if file.origin is None else file.origin.folds
    places = {
        f"motion.{i}": _rows_of(file.rows(fold.clips()), len(file.dataset.clips))
        for i, fold in enumerate(folds)
    }
    with tensor_slices(path) as tensors:
        columns = {
            name: Column(
                tuple(tensors(name).get_shape()[1:]),
                {"F16": "float16"}.get(tensors(name).get_dtype(), "float32"),
            )
            for name in file.shapes
        }

        def read(name: str, start: int, stop: int) -> npt.NDArray[Any]:
            if name not in places:
                return np.asarray(tensors(name)[start:stop])
            rows = places[name][start:stop]
            array = np.zeros((stop - start, *columns[name].shape), columns[name].dtype)
            inside = np.flatnonzero(rows >= 0)
            if len(inside):
                low, high = int(rows[inside].min()), int(rows[inside].max()) + 1
                array[inside] = np.asarray(tensors(name)[low:high])[rows[inside] - low]
            return array

        return pack_features(
            folder, file, columns, read, content=file.digest, shard_rows=shard_rows, progress=progress
        )


def _rows_of(positions: npt.NDArray[np.intp], clips: int) -> npt.NDArray[np.int64]:
    """Row of each clip among those at `positions`; -1 where it is not among them."""
    rows = np.full(clips, -1, np.int64)
    rows[positions] = np.arange(len(positions))
    return rows


def pack_run(
    session: Session, run: Path, folder: Path, fold: str | None = None, shard_rows: int = _SHARD_ROWS
) -> ShardIndex:
    """Write what the heads of a run were trained on as shards.

    Args:
        session: made from the run's configuration.
        run: its folder.
        folder: to write.
        fold: name of one fold; all of them by default.
        shard_rows: clips of a shard.

    Raises:
        ConfigError, CheckpointError: see :func:`moclip_lite.experiment.feature_export.export_features`.
    """
    refuse_among_classes(session.experiment.data, folder, "--out")
    beside = None if is_url(folder) else folder.parent
    if beside is not None:
        beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside, prefix=f".{folder.name}-") as draft:
        path = Path(draft) / "features.safetensors"
        export_features(session, run, path, fold)
        return pack_file(path, folder, shard_rows, lambda *steps: session.reporter.progress("pack", *steps))
