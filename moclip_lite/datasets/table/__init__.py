"""Annotation tables: videos, or segments of long ones, with their labels, splits and groups.

``records`` reads CSV, JSON Lines and Parquet, ``columns`` checks their header, ``values`` checks and types
their cells, ``videos`` finds the files, ``rows`` makes rows of them, ``load`` a data set.
"""

from .rows import TableProblem, TableRow, TableRows, inspect_table, overlaps, read_table
from .values import Part

__all__ = ["Part", "TableProblem", "TableRow", "TableRows", "inspect_table", "overlaps", "read_table"]
