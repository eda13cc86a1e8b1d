"""Columns and rows of the tables in reports, comparisons and on the console.

A column of the score or cost table is one line in ``SCORES`` or ``COSTS``; every table shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from ...streams import TABLE_ORDER, Stream
from ..metrics import Cost, Metrics, StreamScores
from .document import Cell, Range

__all__ = ["COSTS", "PUBLISHED", "SCORES", "Column", "Row", "failure_rows", "interval_words", "stream_table"]


class Row(NamedTuple):
    """A stream's scores and costs; `ceiling` is the highest accuracy that its input allows, if known."""

    stream: Stream
    scores: StreamScores
    cost: Cost | None
    ceiling: float | None


class Column(NamedTuple):
    """A column: its header and its cell; "" where the value is unknown."""

    header: str
    cell: Callable[[Row], Cell]


def _millions(count: float | None) -> str:
    return "" if count is None else f"{count / 1e6:.2f} M" if count else "0"


def _gflops(row: Row) -> str:
    gflops = (row.cost.gflops if row.cost else None) or 0.0
    return f"{gflops:.2f}" if gflops >= 0.005 else ""


def _latency(row: Row) -> str:
    return f"{row.cost.latency_ms:.1f}" if row.cost and row.cost.latency_ms else ""


_STREAM: Final = Column("stream", lambda row: row.stream.words)
_TOP1: Final = Column("top-1 %", lambda row: f"{row.scores.top1:.1f}")
_TRAINED: Final = Column("trained", lambda row: _millions(row.cost.trainable if row.cost else None))
_GFLOPS: Final = Column("GFLOPs", _gflops)

SCORES: Final = (
    _STREAM,
    _TOP1,
    Column("95 % interval", lambda row: Range(row.scores.top1, *row.scores.ci95)),
    Column("ceiling %", lambda row: "" if row.ceiling is None else f"{row.ceiling:.0f}"),
    Column("macro %", lambda row: f"{row.scores.macro:.1f}"),
    Column("top-5 %", lambda row: f"{row.scores.top5:.1f}" if len(row.scores.per_class) > 5 else ""),
    Column("clips", lambda row: str(row.scores.n)),
    _TRAINED,
    _GFLOPS,
)

COSTS: Final = (
    _STREAM,
    _TOP1,
    Column("parameters", lambda row: _millions(row.cost.parameters if row.cost else None)),
    _TRAINED,
    _GFLOPS,
    Column("ms", _latency),
)


def stream_table(
    columns: Iterable[Column], metrics: Metrics, ceilings: Mapping[str, float] | None = None
) -> tuple[list[str], list[list[Cell]]]:
    """Header and rows, a row per tested stream; columns that are empty in all rows are left out.

    Args:
        columns: ``SCORES`` or ``COSTS``.
        metrics: of a run.
        ceilings: stream -> highest accuracy that its input allows, in percent, where that is known.
    """
    rows = [
        Row(stream, metrics.streams[stream], metrics.costs.get(stream), (ceilings or {}).get(stream))
        for stream in TABLE_ORDER
        if stream in metrics.streams
    ]
    filled = [column for column in columns if any(column.cell(row) for row in rows)]
    return [c.header for c in filled], [[c.cell(row) for c in filled] for row in rows]


def interval_words(metrics: Metrics) -> str:
    """How the intervals of the score table were computed, and over which sampling units."""
    streams_of: dict[str, list[str]] = {}
    for stream in TABLE_ORDER:
        if scores := metrics.streams.get(stream):
            method = scores.ci95_over or f"Wilson over {scores.n} clips"
            streams_of.setdefault(method, []).append(stream.words)
    if len(streams_of) == 1:
        return f"Intervals: 95 %, {next(iter(streams_of))}."
    parts = [f"{', '.join(streams)}: {method}" for method, streams in streams_of.items()]
    return f"Intervals: 95 %; {'; '.join(parts)}."


def failure_rows(failures: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """Rows: clip, the stages that failed, reasons. One row per clip, whatever the number of stages."""
    clips: dict[str, tuple[list[str], list[str]]] = {}
    for failure in failures:
        stages, reasons = clips.setdefault(failure["name"], ([], []))
        stages.append(failure["stage"])
        reasons.append(failure["reason"])
    return [
        [name, ", ".join(stages), "; ".join(dict.fromkeys(reasons))]
        for name, (stages, reasons) in clips.items()
    ]


class Published(NamedTuple):
    """Top-1 on UCF101 in percent as a paper reports it, trained parameters, operations, protocol."""

    name: str
    top1: str
    trained: str
    gflops: str
    protocol: str


_PAPER: Final = "arXiv 2509.17084: split 1, best epoch chosen on the test list"
_OWN_PAPER: Final = "as its paper reports, all splits or unstated"
PUBLISHED: Final = (
    Published("MoCLIP-Lite, fusion", "89.2", "0.97 M", "16.9", _PAPER),
    Published("MoCLIP-Lite, motion only", "66.5", "", "", _PAPER),
    Published("MoCLIP-Lite, zero-shot CLIP ViT-B/32", "65.0", "0", "", _PAPER.split(",")[0]),
    Published("CLIP ViT-B/16, zero-shot", "74.2", "0", "", _OWN_PAPER),
    Published("Open-VCLIP++, zero-shot", "88.1", "", "", _OWN_PAPER),
    Published("CoViAR", "90.4", "", "", _OWN_PAPER + "; motion alone about 70"),
    Published("DMC-Net", "92.3", "", "", _OWN_PAPER),
    Published("CFM-Net", "94.8", "", "48", _OWN_PAPER),
    Published("MEACI-Net", "96.4", "", "", _OWN_PAPER),
    Published("TextComp (CLIP ViT-B/16)", "96.7", "", "", _OWN_PAPER),
)
"""None of these was measured by this project."""
