"""Rows of the tables that reports, comparisons and the console share."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

__all__ = [
    "COSTS",
    "HEADER",
    "PUBLISHED",
    "STREAM_WORDS",
    "Published",
    "cost_rows",
    "markdown_table",
    "score_rows",
]

STREAM_WORDS: Final = {
    "motion": "motion only (network)",
    "motion_head": "motion only (head, control)",
    "zero_shot": "zero-shot (control)",
    "appearance_frame": "appearance only, one frame (control)",
    "appearance": "appearance only (head)",
    "fusion": "fusion",
}

HEADER: Final = ["stream", "top-1 %", "95 % interval", "top-5 %", "macro %", "clips", "trained", "GFLOPs"]

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


def score_rows(metrics: dict[str, Any]) -> list[list[str]]:
    """Rows of the main table: stream, top-1, 95 % interval, top-5, macro, clips, parameters, GFLOPs."""
    rows = []
    for stream, words in STREAM_WORDS.items():
        result = metrics.get(stream)
        if not result:
            continue
        cost = metrics.get("costs", {}).get(stream, {})
        low, high = result["ci95"]
        rows.append(
            [
                words,
                f"{result['top1']:.1f}",
                f"{low:.1f} to {high:.1f}",
                f"{result['top5']:.1f}",
                f"{result['macro']:.1f}",
                str(result["n"]),
                f"{cost['trainable'] / 1e6:.2f} M" if cost else "",
                f"{cost['gflops']:.2f}" if cost else "",
            ]
        )
    return rows


def cost_rows(metrics: dict[str, Any]) -> list[list[str]]:
    """stream, top-1, parameters, trained parameters, GFLOPs and milliseconds per clip."""
    return [
        [
            words,
            f"{metrics[stream]['top1']:.1f}",
            f"{cost['parameters'] / 1e6:.2f} M",
            f"{cost['trainable'] / 1e6:.2f} M",
            f"{cost['gflops']:.2f}",
            f"{cost['latency_ms']:.1f}" if "latency_ms" in cost else "",
        ]
        for stream, words in STREAM_WORDS.items()
        if stream in metrics and (cost := metrics.get("costs", {}).get(stream))
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
