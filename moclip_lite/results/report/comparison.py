"""The document of a comparison: its sections, in their order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from ...errors import ConfigError
from ...storage.files import write_text
from ..compare import Comparison, StreamDifference
from ..paired import Difference
from .document import Block, Document, Folded, Paragraph, Section, Table
from .sections import DIFFERENCE_HEADER, VERDICT_RULE, difference_cells
from .tables import COSTS, SCORES, Column, interval_words, stream_table

__all__ = ["comparison_document", "renderer_of", "write_comparison"]

_EXTREMES: Final = 10  # classes that gained most, and that lost most
_METHOD: Final = (
    "Points are percentage points above the first run on the tests that both have: a clip counts in "
    "each fold and seed that tests it. Intervals: paired "
    "bootstrap over groups where they are known, else over clips. p of each line: McNemar's exact test where "
    f"each group or clip was tested once, else a permutation test over the same units. {VERDICT_RULE}"
)


def comparison_document(c: Comparison) -> Document:
    """Scores, differences, classes that changed, settings and costs."""
    rows = [
        [d.run, d.stream.words, *_counts(d.difference), *difference_cells(d.difference)]
        for d in c.differences
    ]
    sections = [
        Section("Scores", [_stream_tables(c, SCORES)]),
        Section(
            f"Difference from {c.names[0]}",
            [Table(["run", "stream", "common clips", "tests", *DIFFERENCE_HEADER], rows), *_notes(c)],
        ),
        Section("Classes that changed", [block for d in c.differences for block in _classes(c, d)]),
        Section("Settings that differ", _settings(c)),
        Section("Costs", [_stream_tables(c, COSTS)]),
    ]
    return Document(" and ".join(c.names), [section for section in sections if section.blocks])


def renderer_of(path: Path) -> Callable[[Document], str]:
    """What makes the text of a file: a page (.html) or Markdown (.md).

    Raises:
        ConfigError: another ending.
    """
    from .html import to_html
    from .markdown import to_markdown

    renderers = {".html": to_html, ".htm": to_html, ".md": to_markdown}
    renderer = renderers.get(path.suffix.lower())
    if renderer is None:
        raise ConfigError(f"--out takes a file that ends in .html or .md, got {path.name!r}")
    return renderer


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write the comparison in the form that the ending says.

    Raises:
        ConfigError: an unknown ending.
    """
    write_text(path, renderer_of(path)(comparison_document(comparison)))


def _stream_tables(c: Comparison, columns: tuple[Column, ...]) -> Table:
    """The tables of all runs as one, with a column for the run."""
    headers: list[str] = []
    rows = []
    for name, run in zip(c.names, c.runs, strict=True):
        header, cells = stream_table(columns, run.metrics)
        headers += [text for text in header if text not in headers]
        rows += [{"run": name, **dict(zip(header, row, strict=True))} for row in cells]
    ordered = ["run", *(column.header for column in columns if column.header in headers)]
    return Table(ordered, [[row.get(header, "") for header in ordered] for row in rows])


def _notes(c: Comparison) -> list[Block]:
    intervals = [f"{name}: {interval_words(run.metrics)}" for name, run in zip(c.names, c.runs, strict=True)]
    streams_of: dict[tuple[str, str], list[str]] = {}
    for d in c.differences:
        streams_of.setdefault((d.run, d.difference.method), []).append(str(d.stream))
    intervals += [f"{run}, {', '.join(streams)}: {method}." for (run, method), streams in streams_of.items()]
    unpaired = [
        f"{d.run}, {d.stream}: {d.difference.left_out} tests are of one run only and are left out"
        for d in c.differences
        if d.difference.left_out
    ]
    mixed = [
        f"{d.run}, {d.stream}: its groups and those of {c.names[0]} contradict each other; clips that "
        "share a group in either run are one unit of the interval and of p"
        for d in c.differences
        if d.difference.contradict
    ]
    notes = [Paragraph(text) for text in [*intervals, _METHOD]]
    return [*notes, *(Paragraph(text, "warning") for text in [*unpaired, *mixed])]


def _counts(difference: Difference) -> list[str]:
    """Cells on the common clips and their tests."""
    return [str(difference.clips), str(difference.tests)]


def _classes(c: Comparison, d: StreamDifference) -> list[Block]:
    """The classes that changed most; those of the main stream are not folded."""
    changed = [row for row in d.difference.classes if row.only_a or row.only_b]
    if not changed:
        return []
    if len(changed) > 2 * _EXTREMES:
        changed = changed[:_EXTREMES] + changed[-_EXTREMES:]
    rows = [[r.label, str(r.tests), f"{r.points:+.1f}", str(r.only_a), str(r.only_b)] for r in changed]
    title = f"{d.run}, {d.stream.words}"
    header = ["class", "tests", "points", "gained", "lost"]
    if d.stream == c.runs[0].main:
        return [Table(header, rows, title)]
    return [Folded(title, [Table(header, rows)])]


def _settings(c: Comparison) -> list[Block]:
    rows = [[key, *values] for key, values in c.settings.items()]
    return [Table(["setting", *c.names], rows)] if rows else []
