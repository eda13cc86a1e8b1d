"""Tables that pandas or DuckDB opens: CSV or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .files import atomic_path, check_output

__all__ = ["check_table", "write_table"]


def check_table(path: Path) -> None:
    """Refuse other endings than .csv and .parquet, and a place that can't be written.

    Raises:
        ConfigError: another ending, a folder, or a place without permission.
    """
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise ConfigError(f"{path}: a table is written to a .csv or .parquet file")
    check_output(path)


def write_table(path: Path, columns: Mapping[str, type], rows: Sequence[Sequence[Any]]) -> None:
    """Write a table atomically, in the form that its ending says.

    Args:
        path: a .csv or .parquet file.
        columns: name -> str, int or float, also the type in a Parquet file without rows.
        rows: a value for each column.

    Raises:
        ConfigError: another ending than .csv or .parquet.
        MoclipError: the disk is full.
    """
    check_table(path)
    with atomic_path(path) as draft:
        if path.suffix.lower() == ".csv":
            with draft.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows([columns, *rows])
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
        schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
        values = {name: [row[i] for row in rows] for i, name in enumerate(columns)}
        pq.write_table(pa.table(values, schema=schema), draft)
