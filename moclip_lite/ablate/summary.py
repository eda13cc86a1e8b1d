"""A grid's results in words: the rows that the console and summary.md share, and summary.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..results.report import markdown_table
from ..storage.files import write_text
from ..streams import Stream
from .grid import Ablation, cell_words
from .tables import Row, condense, records

__all__ = ["difference_table", "mean_table", "summary_markdown"]

Rows = tuple[list[str], list[list[str]]]


def mean_table(ablation: Ablation, summary: pd.DataFrame, *, costs: bool = False) -> Rows:
    """Header and rows: a cell's values, stream, mean top-1, its interval, runs, and costs where asked for."""
    keys = list(ablation.grid)
    header = [*keys, "stream", "top-1 %", "95 % interval", "runs"]
    rows = [
        [
            *(str(row[key]) for key in keys),
            Stream(row["stream"]).words,
            f"{row['mean']:.1f}",
            "-" if pd.isna(row["low"]) else f"{row['low']:.1f} to {row['high']:.1f}",
            str(row["runs"]),
            *(_costs(row) if costs else ()),
        ]
        for row in records(condense(summary, keys))
    ]
    return [*header, *(("trained", "GFLOPs", "ms") if costs else ())], rows


def _costs(row: Row) -> list[str]:
    def cell(value: Any, form: str, unit: str = "") -> str:
        return "" if pd.isna(value) else format(value, form) + unit

    return [
        cell(row["trainable"] and row["trainable"] / 1e6, ".2f", " M"),
        cell(row["gflops"], ".2f"),
        cell(row["latency_ms"], ".1f"),
    ]


def difference_table(ablation: Ablation, differences: pd.DataFrame) -> Rows:
    """Header and rows: a cell's values, points above the reference, interval, p, clips, verdict."""
    keys = list(ablation.grid)
    rows = [
        [
            *(str(row[key]) for key in keys),
            f"{row['difference']:+.1f}",
            f"{row['low']:+.1f} to {row['high']:+.1f}",
            f"{row['p']:.3f}",
            str(row["clips"]),
            str(row["verdict"]),
        ]
        for row in records(differences)
    ]
    return [*keys, "points", "95 % interval", "p", "clips", "verdict"], rows


def summary_markdown(
    path: Path,
    ablation: Ablation,
    summary: pd.DataFrame,
    differences: pd.DataFrame,
    failures: Sequence[tuple[str, str]],
) -> None:
    """Write summary.md."""
    parts = [
        f"# {ablation.name}",
        markdown_table(*mean_table(ablation, summary, costs=True)),
        f"Means over seeds {', '.join(map(str, ablation.seeds))}; a run's accuracy is over the tests of all "
        "its folds. Intervals: Student's t over the runs; for a single run over its clips or groups. GFLOPs "
        "and milliseconds (on this machine, one clip at a time) are of one clip with all its views.",
        "![results](plot.png)",
    ]
    if ablation.starts_random:
        parts.append(
            "Motion networks start from random weights in every cell unless motion.pretrained says "
            "otherwise: generated motion (motion.pretrained=auto) is there for the default settings alone."
        )
    if len(differences):
        parts += [
            f"## {Stream(ablation.stream).words}: difference from {cell_words(ablation.reference)}",
            markdown_table(*difference_table(ablation, differences)),
            "Points are paired by test: a clip with the same seed and fold in both cells; "
            f"all tests count equally. {_unpaired(differences)} Paired cluster bootstrap "
            "and permutation test over groups of clips (over clips where groups are unknown); p is adjusted "
            "for the number of comparisons (Holm). The spread of the seeds is in the table above, not here.",
        ]
    if missing := _not_compared(ablation, differences):
        parts.append(f"Not compared, without a test in common with the reference: {'; '.join(missing)}.")
    if failures:
        parts += ["## Not run", "\n".join(f"- {run}: {reason}" for run, reason in failures)]
    write_text(path, "\n\n".join(parts) + "\n")


def _not_compared(ablation: Ablation, differences: pd.DataFrame) -> list[str]:
    """Cells, in words, that the table of differences has no row of."""
    compared = [{key: row[key] for key in ablation.grid} for row in records(differences)]
    return [
        cell_words(cell)
        for cell in ablation.cells()
        if cell != ablation.reference and {key: str(value) for key, value in cell.items()} not in compared
    ]


def _unpaired(differences: pd.DataFrame) -> str:
    """Whether the points are the difference of the means beside them."""
    unpaired = int(differences["left_out"].max())
    if not unpaired:
        return "They are the differences of the means above."
    return (
        f"They are not the differences of the means above: up to {unpaired} tests "
        "of one cell have no partner in the reference and are left out here."
    )
