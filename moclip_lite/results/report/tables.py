"""Columns and rows of the tables in reports, comparisons and on the console.

A column of the score or cost table is one line in ``SCORES`` or ``COSTS``; every table shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from .document import Cell, Range

__all__ = [
    "COSTS",
    "PUBLISHED",
    "SCORES",
    "STREAM_WORDS",
    "Column",
    "Row",
    "failure_rows",
    "interval_words",
    "stream_table",
]

STREAM_WORDS: Final = {
    "motion": "motion only (network)",
    "motion_head": "motion only (head, control)",
    "zero_shot": "zero-shot (control)",
    "appearance_frame": "appearance only, one frame (control)",
    "appearance": "appearance only (head)",
    "fusion": "fusion",
}


class Row(NamedTuple):
    """A stream's scores and costs; `ceiling` is the highest accuracy that its input allows, if known."""

    stream: str
    scores: Mapping[str, Any]
    costs: Mapping[str, Any]
    ceiling: float | None


class Column(NamedTuple):
    """A column: its header and its cell; "" where the value is unknown."""

    header: str
    cell: Callable[[Row], Cell]


def _millions(count: float | None) -> str:
    return "" if count is None else f"{count / 1e6:.2f} M" if count else "0"


def _gflops(row: Row) -> str:
    gflops = row.costs.get("gflops") or 0.0
    return f"{gflops:.2f}" if gflops >= 0.005 else ""


_STREAM: Final = Column("stream", lambda row: STREAM_WORDS[row.stream])
_TOP1: Final = Column("top-1 %", lambda row: f"{row.scores['top1']:.1f}")
_TRAINED: Final = Column("trained", lambda row: _millions(row.costs.get("trainable")))
_GFLOPS: Final = Column("GFLOPs", _gflops)

SCORES: Final = (
    _STREAM,
    _TOP1,
    Column("95 % interval", lambda row: Range(row.scores["top1"], *row.scores["ci95"])),
    Column("ceiling %", lambda row: "" if row.ceiling is None else f"{row.ceiling:.0f}"),
    Column("macro %", lambda row: f"{row.scores['macro']:.1f}"),
    Column("top-5 %", lambda row: f"{row.scores['top5']:.1f}" if len(row.scores["per_class"]) > 5 else ""),
    Column("clips", lambda row: str(row.scores["n"])),
    _TRAINED,
    _GFLOPS,
)

COSTS: Final = (
    _STREAM,
    _TOP1,
    Column("parameters", lambda row: _millions(row.costs.get("parameters"))),
    _TRAINED,
    _GFLOPS,
    Column("ms", lambda row: f"{row.costs['latency_ms']:.1f}" if row.costs.get("latency_ms") else ""),
)


def stream_table(
    columns: Iterable[Column], metrics: Mapping[str, Any], ceilings: Mapping[str, float] | None = None
) -> tuple[list[str], list[list[Cell]]]:
    """Header and rows, a row per tested stream; columns that are empty in all rows are left out.

    Args:
        columns: ``SCORES`` or ``COSTS``.
        metrics: the content of metrics.json.
        ceilings: stream -> highest accuracy that its input allows, in percent, where that is known.
    """
    costs, ceilings = metrics.get("costs", {}), ceilings or {}
    streams = [
        Row(stream, metrics[stream], costs.get(stream) or {}, ceilings.get(stream))
        for stream in STREAM_WORDS
        if metrics.get(stream)
    ]
    filled = [column for column in columns if any(column.cell(row) for row in streams)]
    return [c.header for c in filled], [[c.cell(row) for c in filled] for row in streams]


def interval_words(metrics: Mapping[str, Any]) -> str:
    """How the intervals of the score table were computed, and over which sampling units."""
    streams_of: dict[str, list[str]] = {}
    for stream, words in STREAM_WORDS.items():
        if scores := metrics.get(stream):
            method = scores.get("ci95_over") or f"Wilson over {scores['n']} clips"
            streams_of.setdefault(method, []).append(words)
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
