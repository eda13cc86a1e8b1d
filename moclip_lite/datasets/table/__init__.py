"""Annotation tables: videos, or segments of long ones, with their labels, splits and groups.

``records`` reads CSV, JSON Lines and Parquet, ``rows`` checks and types what stands in them, ``load`` makes a data set.
"""

from .rows import Part, TableProblem, TableRow, TableRows, inspect_table, overlaps, read_table

__all__ = ["Part", "TableProblem", "TableRow", "TableRows", "inspect_table", "overlaps", "read_table"]
