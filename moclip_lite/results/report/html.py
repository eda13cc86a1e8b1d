"""Documents as HTML pages without scripts, fonts or network access."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ...storage.names import told_apart
from .document import Cell, Document, is_number

__all__ = ["to_html"]


def to_html(document: Document) -> str:
    """The page; all text is escaped."""
    return str(_template().render(document=document)) + "\n"


@lru_cache(maxsize=1)
def _template() -> Any:
    """The compiled template, which takes longer to compile than to fill in."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("moclip_lite.results.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["told_apart"] = told_apart
    environment.globals["numeric_columns"] = _numeric_columns
    return environment.get_template("page.html")


def _numeric_columns(rows: Sequence[Sequence[Cell]]) -> set[int]:
    """Columns that contain numbers only, to be aligned right; drawn cells are aligned left."""
    return {
        number
        for number, cells in enumerate(zip(*rows, strict=True))
        if all(isinstance(cell, str) and is_number(cell) for cell in cells)
    }
