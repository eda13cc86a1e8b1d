"""Blocks of a document: what a report contains, independent of HTML, Markdown and the console."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from .content import Matrix
    from .pictures import ClipPicture

__all__ = [
    "Block",
    "Bullets",
    "Cell",
    "Chart",
    "Code",
    "Document",
    "Folded",
    "MatrixBlock",
    "Paragraph",
    "Pictures",
    "Range",
    "Section",
    "Share",
    "Table",
    "is_number",
]


class Range(NamedTuple):
    """An interval on a scale of 0 to 100; a page draws it."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.1f} to {self.high:.1f}"


class Share(NamedTuple):
    """A percentage; a page draws it as a bar."""

    percent: float

    def __str__(self) -> str:
        return f"{self.percent:.0f}"


Cell: TypeAlias = "str | Range | Share"


def is_number(text: str) -> bool:
    """Whether a cell's text is a number, an interval of numbers, or empty; such columns are aligned right."""
    return re.sub(r" to |[-+.,%M <±]", "", text).isdigit() or not text


@dataclass(frozen=True)
class Table:
    """A table; `bold` is the number of a row to emphasise."""

    kind: ClassVar[str] = "table"
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    bold: int | None = None


@dataclass(frozen=True)
class Paragraph:
    """Plain text."""

    kind: ClassVar[str] = "paragraph"
    text: str
    style: Literal["note", "warning"] = "note"


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    kind: ClassVar[str] = "bullets"
    items: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Text in a fixed font, such as a configuration."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Chart:
    """A drawing: SVG within a page, a file beside Markdown."""

    kind: ClassVar[str] = "chart"
    svg: str
    file: str
    alt: str


@dataclass(frozen=True)
class Pictures:
    """Clips with a frame and its motion; Markdown expects ``figures/NAME_1.jpg`` and so on."""

    kind: ClassVar[str] = "pictures"
    name: str
    clips: Sequence[ClipPicture]


@dataclass(frozen=True)
class MatrixBlock:
    """A confusion matrix: drawn within a page, a file beside Markdown."""

    kind: ClassVar[str] = "matrix"
    matrix: Matrix
    tooltips: bool = False


@dataclass(frozen=True)
class Folded:
    """Blocks that a page hides until its reader opens them."""

    kind: ClassVar[str] = "folded"
    summary: str
    blocks: Sequence[Block]


Block: TypeAlias = "Table | Paragraph | Bullets | Code | Chart | Pictures | MatrixBlock | Folded"


@dataclass(frozen=True)
class Section:
    """Blocks below a heading."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """A page."""

    title: str
    sections: Sequence[Section]
    summary: str = ""
