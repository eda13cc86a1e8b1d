"""A grid's results in words: the rows that the console and summary.md share, and summary.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from mv_tools.urls import spelled

from ..results.report import markdown_table
from ..storage.files import write_text
from ..streams import Stream
from .comparisons import Comparisons
from .grid import Ablation, cell_words
from .tables import Row, condense, records

__all__ = ["CELLS", "cells_line", "difference_table", "mean_table", "summary_markdown"]

CELLS: Final = "Cells: "
"""How the line of summary.md on its cells begins."""

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


def cells_line(ablation: Ablation) -> str:
    """The line of summary.md that says which cells and seeds its tables are of."""
    axes = "; ".join(f"{key}: {', '.join(map(str, values))}" for key, values in ablation.grid.items())
    return f"{CELLS}{axes}; seeds: {', '.join(map(str, ablation.seeds))}"


def _settings_line(ablation: Ablation) -> str:
    """What all cells start from, and what is set in all of them."""
    base = "the default settings" if ablation.base is None else f"`{spelled(ablation.base)}`"
    settings = "".join(f", `{line}`" for line in ablation.overrides)
    return f"All cells: {base}{settings}"


def summary_markdown(
    path: Path,
    ablation: Ablation,
    summary: pd.DataFrame,
    compared: Comparisons,
    failures: Sequence[tuple[str, str]],
    told: Sequence[str] = (),
) -> None:
    """Write summary.md; `told` are the notes of the runs."""
    differences = compared.table
    parts = [
        f"# {ablation.name}",
        cells_line(ablation),
        _settings_line(ablation),
        markdown_table(*mean_table(ablation, summary, costs=True)),
        f"Means over seeds {', '.join(map(str, ablation.seeds))}; a run's accuracy is over the tests of all "
        "its folds. Intervals: Student's t over the runs, none (-) where all runs agree exactly; for a "
        "single run over its clips or groups. GFLOPs and milliseconds (on this machine, one clip at a time) "
        "are of one clip with all its views.",
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
            "Points are paired by test: a clip with the same seed and fold in both cells. "
            f"{_unpaired(differences)} Paired cluster bootstrap "
            "and permutation test over groups of clips (over clips where groups are unknown); p is adjusted "
            "for the number of comparisons (Holm). The spread of the seeds is in the table above, not here.",
        ]
    parts += compared.notes
    if told:
        parts += ["## Notes of the runs", "\n".join(f"- {note}" for note in told)]
    if failures:
        parts += ["## Not run", "\n".join(f"- {run}: {reason}" for run, reason in failures)]
    write_text(path, "\n\n".join(parts) + "\n")


def _unpaired(differences: pd.DataFrame) -> str:
    """A sentence on tests that the points leave out, and on the means beside them."""
    means = "The means above count each seed once, the points all tests."
    unpaired = int(differences["left_out"].max())
    if not unpaired:
        return means
    return (
        f"{means} Up to {unpaired} tests of one cell have no partner in the reference and are left out here."
    )
