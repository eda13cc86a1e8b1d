"""Documents as Markdown, with their pictures in files beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..run_folder import RunFolder
from .document import (
    Block,
    Bullets,
    Cell,
    Chart,
    Code,
    Document,
    Folded,
    MatrixBlock,
    Paragraph,
    Pictures,
    Table,
)

__all__ = ["markdown_table", "to_markdown"]


def to_markdown(document: Document) -> str:
    """The document's text. Names in it can neither become markup nor end a table's cell."""
    parts = [f"# {_escaped(document.title)}", _escaped(document.summary)]
    for section in document.sections:
        parts += [f"## {_escaped(section.title)}", *map(_block, section.blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table in Markdown."""
    lines = [header, *rows]
    text = ["| " + " | ".join(_escaped(str(cell)) for cell in line) + " |" for line in lines]
    return "\n".join([text[0], "|" + "---|" * len(header), *text[1:]])


def _block(block: Block) -> str:
    match block:
        case Table(header, rows, caption):
            return "\n\n".join(part for part in (_escaped(caption), markdown_table(header, rows)) if part)
        case Paragraph(text):
            return _escaped(text)
        case Bullets(items):
            return "\n".join(f"- {_escaped(item)}" for item in items)
        case Code(text):
            return "\n".join(f"    {line}" for line in text.splitlines())
        case Chart(_, file, alt):
            return f"![{alt}]({file})"
        case MatrixBlock(matrix):
            picture = RunFolder(Path()).confusion(matrix.stream, ".png").name
            return f"![confusion matrix of {matrix.stream}]({picture})"
        case Folded(summary, blocks):
            return "\n\n".join([f"### {_escaped(summary)}", *map(_block, blocks)])
        case Pictures(name, clips):
            lines: list[str] = []
            for number, clip in enumerate(clips, start=1):
                image = f"![a frame and its motion](figures/{name}_{number}.jpg)"
                lines += [
                    _escaped(clip.caption),
                    image if clip.jpeg else f"No picture: {_escaped(clip.reason)}.",
                ]
            return "\n\n".join(lines)


def _escaped(text: str) -> str:
    """Text without line ends in which nothing is markup."""
    plain = " ".join(text.split())
    for mark in ("\\", "|", "[", "]", "`"):
        plain = plain.replace(mark, "\\" + mark)
    return plain.replace("&", "&amp;").replace("<", "&lt;")
