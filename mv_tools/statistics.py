"""Statistics of the motion of each picture, as a table that pandas or DuckDB opens."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .atomic import atomic_write
from .errors import ArgumentError, BackendUnavailable
from .motion import MotionFrame, flow, inter_mask

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["COLUMNS", "motion_statistics", "write_statistics"]

COLUMNS: Final[Mapping[str, str]] = {
    "index": "int64",
    "decode_index": "int64",
    "frame_index": "int64",
    "seconds": "float64",
    "pict_type": "string",
    "keyframe": "bool",
    "inter_share": "float32",
    "moving_share": "float32",
    "mean_x": "float32",
    "mean_y": "float32",
    "mean_length": "float32",
    "median_length": "float32",
    "p95_length": "float32",
    "max_length": "float32",
}
"""Column -> type. Numbers of the picture in presentation and decoding order and of its frame; seconds
(``pts_seconds``, as stored; null if unknown); share of the 4x4 blocks that are inter predicted, and that move
by half a pixel per frame or more; of the field as shown, in pixels per frame: mean of x and of y, and of the
vectors' lengths mean, median, 95th percentile and maximum, over all blocks (intra blocks count as not
moving)."""

_MOVING: Final = 0.5  # pixels per frame
_ROWS: Final = 4096  # of a row group

Row = dict[str, Any]


def motion_statistics(frame: MotionFrame) -> Row:
    """The row of a picture, with the columns of :data:`COLUMNS`."""
    x, y = flow(frame)
    lengths = np.hypot(x, y)
    median, p95 = np.percentile(lengths, (50, 95))
    return {
        "index": frame.index,
        "decode_index": frame.decode_index,
        "frame_index": frame.frame_index,
        "seconds": frame.pts_seconds,
        "pict_type": frame.pict_type,
        "keyframe": frame.is_keyframe,
        "inter_share": float(inter_mask(frame).mean()),
        "moving_share": float((lengths >= _MOVING).mean()),
        "mean_x": float(x.mean()),
        "mean_y": float(y.mean()),
        "mean_length": float(lengths.mean()),
        "median_length": float(median),
        "p95_length": float(p95),
        "max_length": float(lengths.max(initial=0.0)),
    }


def write_statistics(frames: Iterable[MotionFrame], dst: str | os.PathLike[str]) -> int:
    """Write a row for each picture, atomically; memory use does not grow with their number.

    Args:
        frames: such as a :class:`mv_tools.MotionDecoder`.
        dst: a .parquet or .csv file.

    Returns:
        The number of rows.

    Raises:
        ArgumentError: another ending.
        BackendUnavailable: pyarrow is needed for .parquet and not installed.
    """
    path = Path(dst)
    writers = {".parquet": _parquet, ".csv": _csv}
    if path.suffix.lower() not in writers:
        raise ArgumentError(f"{path}: statistics are written to a .parquet or .csv file")
    rows, count = map(motion_statistics, frames), 0
    with atomic_write(path) as draft, writers[path.suffix.lower()](draft) as write:
        while block := list(islice(rows, _ROWS)):
            write(block)
            count += len(block)
    return count


@contextmanager
def _csv(path: Path) -> Iterator[Callable[[list[Row]], None]]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        yield lambda rows: writer.writerows(
            {name: _text(name, value) for name, value in row.items()} for row in rows
        )


def _text(name: str, value: Any) -> Any:
    """A value as a table has it: nothing for one that is unknown, six digits of single precision."""
    if value is None or value != value:
        return ""
    return f"{value:.6g}" if COLUMNS[name] == "float32" and math.isfinite(value) else value


@contextmanager
def _parquet(path: Path) -> Iterator[Callable[[list[Row]], None]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise BackendUnavailable(
            "a .parquet file needs pyarrow: pip install 'moclip-lite[parquet]', or write .csv"
        ) from error
    kinds = {"int64": pa.int64(), "float64": pa.float64(), "float32": pa.float32()}
    kinds |= {"string": pa.string(), "bool": pa.bool_()}
    schema: pa.Schema = pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    with pq.ParquetWriter(path, schema) as writer:
        yield lambda rows: writer.write_table(pa.Table.from_pylist(rows, schema))
