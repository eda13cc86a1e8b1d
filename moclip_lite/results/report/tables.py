"""Rows of the tables that reports, comparisons and the console share."""

from __future__ import annotations

from typing import Final, NamedTuple

from ...streams import TABLE_ORDER
from ..metrics import Metrics

__all__ = [
    "COSTS",
    "HEADER",
    "PUBLISHED",
    "Published",
    "cost_rows",
    "interval_words",
    "markdown_table",
    "score_rows",
    "score_table",
]

HEADER: Final = ["stream", "top-1 %", "95 % interval", "macro %", "top-5 %", "clips", "trained", "GFLOPs"]

COSTS: Final = ["stream", "top-1 %", "parameters", "trained", "GFLOPs", "ms"]


class Published(NamedTuple):
    """A figure of a paper: top-1 on UCF101 in percent, what is trained, operations, where it is from."""

    name: str
    top1: str
    trained: str
    gflops: str
    protocol: str


_PAPER: Final = "arXiv 2509.17084: split 1, best epoch chosen on the test list"
_ITS: Final = "as its paper reports, all splits or unstated"
PUBLISHED: Final = (
    Published("MoCLIP-Lite, fusion", "89.2", "0.97 M", "16.9", _PAPER),
    Published("MoCLIP-Lite, motion only", "66.5", "", "", _PAPER),
    Published("MoCLIP-Lite, zero-shot CLIP ViT-B/32", "65.0", "0", "", _PAPER.split(",")[0]),
    Published("CLIP ViT-B/16, zero-shot", "74.2", "0", "", _ITS),
    Published("Open-VCLIP++, zero-shot", "88.1", "", "", _ITS),
    Published("CoViAR", "90.4", "", "", _ITS + "; motion alone about 70"),
    Published("DMC-Net", "92.3", "", "", _ITS),
    Published("CFM-Net", "94.8", "", "48", _ITS),
    Published("MEACI-Net", "96.4", "", "", _ITS),
    Published("TextComp (CLIP ViT-B/16)", "96.7", "", "", _ITS),
)
"""Not one of them is this project's measurement."""


def score_rows(metrics: Metrics) -> list[list[str]]:
    """Rows of the main table: stream, top-1, 95 % interval, macro, top-5, clips, parameters, GFLOPs."""
    rows = []
    for stream in TABLE_ORDER:
        scores, cost = metrics.streams.get(stream), metrics.costs.get(stream)
        if scores is None:
            continue
        low, high = scores.ci95
        rows.append(
            [
                stream.words,
                f"{scores.top1:.1f}",
                f"{low:.1f} to {high:.1f}",
                f"{scores.macro:.1f}",
                f"{scores.top5:.1f}",
                str(scores.n),
                f"{cost.trainable / 1e6:.2f} M" if cost else "",
                f"{cost.gflops:.2f}" if cost and cost.gflops is not None else "",
            ]
        )
    return rows


def score_table(metrics: Metrics) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the main table; top-5 only where there are more than five classes."""
    rows = score_rows(metrics)
    classes = max((len(scores.per_class) for scores in metrics.streams.values()), default=0)
    if classes > 5:
        return HEADER, rows
    place = HEADER.index("top-5 %")
    return [h for h in HEADER if h != "top-5 %"], [row[:place] + row[place + 1 :] for row in rows]


def interval_words(metrics: Metrics) -> str:
    """What the intervals of the main table are, and what they are over."""
    by: dict[str, list[str]] = {}
    for stream in TABLE_ORDER:
        if scores := metrics.streams.get(stream):
            by.setdefault(scores.ci95_over or f"Wilson over {scores.n} clips", []).append(stream.words)
    if len(by) == 1:
        return f"Intervals: 95 %, {next(iter(by))}."
    return "Intervals: 95 %; " + "; ".join(f"{', '.join(names)}: {over}" for over, names in by.items()) + "."


def cost_rows(metrics: Metrics) -> list[list[str]]:
    """stream, top-1, parameters, trained parameters, GFLOPs and milliseconds per clip."""
    return [
        [
            stream.words,
            f"{scores.top1:.1f}",
            f"{cost.parameters / 1e6:.2f} M",
            f"{cost.trainable / 1e6:.2f} M",
            "" if cost.gflops is None else f"{cost.gflops:.2f}",
            "" if cost.latency_ms is None else f"{cost.latency_ms:.1f}",
        ]
        for stream in TABLE_ORDER
        if (scores := metrics.streams.get(stream)) and (cost := metrics.costs.get(stream))
    ]


def _cell(text: str) -> str:
    """A name from outside must neither end the cell nor become a link or a tag."""
    plain = " ".join(text.split())
    for mark in ("\\", "|", "[", "]", "`"):
        plain = plain.replace(mark, "\\" + mark)
    return plain.replace("&", "&amp;").replace("<", "&lt;")


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown; marks in the cells are escaped."""
    lines = ["| " + " | ".join(map(_cell, header)) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(map(_cell, row)) + " |" for row in rows])
