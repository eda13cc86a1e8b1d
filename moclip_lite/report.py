"""A run's report in Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from .storage import write_text

__all__ = ["HEADER", "STREAM_WORDS", "markdown_table", "score_rows", "write_report"]

STREAM_WORDS: Final = {
    "motion": "motion only (network)",
    "motion_head": "motion only (head, control)",
    "zero_shot": "zero-shot (control)",
    "appearance_frame": "appearance only, one frame (control)",
    "appearance": "appearance only (head)",
    "fusion": "fusion",
}


def score_rows(metrics: dict[str, Any]) -> list[list[str]]:
    """Rows of the main table: stream, top-1, 95 % interval, top-5, macro, clips, parameters, GFLOPs."""
    rows = []
    for stream, words in STREAM_WORDS.items():
        result = metrics.get(stream)
        if not result:
            continue
        cost = metrics["costs"].get(stream, {})
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


HEADER: Final = ["stream", "top-1 %", "95 % interval", "top-5 %", "macro %", "clips", "trained", "GFLOPs"]


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _classes(metrics: dict[str, Any]) -> str:
    stream = next((s for s in ("fusion", "appearance", "motion") if s in metrics), None)
    if stream is None:
        return ""
    tested = [(v, k) for k, v in metrics[stream]["per_class"].items() if v is not None]
    worst = sorted(tested)[:5]
    best = sorted(tested, reverse=True)[:5]
    rows = [[b[1], f"{b[0]:.0f}", w[1], f"{w[0]:.0f}"] for b, w in zip(best, worst, strict=True)]
    return f"## Classes ({stream})\n\n" + markdown_table(["best", "%", "worst", "%"], rows) + "\n"


def write_report(path: Path, metrics: dict[str, Any]) -> None:
    """Write the report of a finished run."""
    parts = ["# Results\n", markdown_table(HEADER, score_rows(metrics)) + "\n"]
    chance = 100 / max(len(metrics["labels"]), 1)
    parts.append(
        f"{len(metrics['labels'])} classes (chance {chance:.1f} %). Weights were chosen on validation clips cut "
        "from train; the test clips were used once. Appearance features: "
        f"{metrics['appearance_weights']}.\n"
    )
    if len(metrics["folds"]) > 1:
        streams = [s for s in STREAM_WORDS if s in metrics]
        rows = [
            [fold, *(f"{metrics[s]['folds_top1'][i]:.1f}" for s in streams)]
            for i, fold in enumerate(metrics["folds"])
        ]
        parts.append("## Folds (top-1 %)\n\n" + markdown_table(["fold", *streams], rows) + "\n")
    parts.append(_classes(metrics))
    seconds = [[stage, f"{value:.1f}"] for stage, value in metrics["seconds"].items()]
    parts.append("## Wall time\n\n" + markdown_table(["stage", "seconds"], seconds) + "\n")
    drawn = [s for s in ("fusion", "motion", "appearance") if s in metrics]
    parts += [f"![confusion matrix of {stream}](confusion_{stream}.png)\n" for stream in drawn]
    if metrics["notes"]:
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in metrics["notes"]) + "\n")
    if metrics["failures"]:
        rows = [[f["name"], f["stage"], f["reason"].replace("|", "/")] for f in metrics["failures"]]
        parts.append("## Clips left out\n\n" + markdown_table(["clip", "stage", "reason"], rows) + "\n")
    write_text(path, "\n".join(part for part in parts if part))
