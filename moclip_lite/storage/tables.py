"""Tables that pandas or DuckDB opens: CSV or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .files import atomic_path

__all__ = ["check_table", "write_table"]


def check_table(path: Path) -> None:
    """Refuse other endings than .csv and .parquet.

    Raises:
        ConfigError: another ending.
    """
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise ConfigError(f"{path}: a table is written to a .csv or .parquet file")


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write a table atomically, in the form that its ending says.

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

        values = {name: [row[i] for row in rows] for i, name in enumerate(columns)}
        pq.write_table(pa.table(values), draft)
