"""What a grid's runs say together: a tidy table, means with intervals, comparisons on the same clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from ..experiment.config import Experiment
from ..results.read import (
    ClipKey,
    Prediction,
    read_predictions,
)
from ..results.report import markdown_table
from ..results.statistics import (
    Interval,
    holm,
    mean_interval,
    paired_bootstrap,
    permutation_p,
    units_of,
    verdict,
)
from ..storage.files import atomic_path, read_json, write_text
from ..streams import Stream
from .grid import Ablation, Cell, cell_words

__all__ = ["comparisons", "condense", "records", "summarize", "summary_markdown", "tidy_table", "write_table"]

Run = tuple[Cell, int, Experiment]
Row = dict[str, Any]
Tests = dict[tuple[int, ClipKey], Prediction]
_COSTS: Final = ("trainable", "gflops", "latency_ms")


def tidy_table(runs: Sequence[Run]) -> pd.DataFrame:
    """A row per cell, seed, fold and stream, from the metrics of finished runs."""
    rows = []
    for cell, seed, experiment in runs:
        metrics = read_json(experiment.run.dir / "metrics.json")
        for stream in Stream:
            if stream not in metrics:
                continue
            whole, costs = metrics[stream], metrics["costs"].get(stream, {})
            folds = whole.get("per_fold") or [whole]
            for fold, found in zip(metrics["folds"], folds, strict=True):
                row: Row = {key: str(value) for key, value in cell.items()}
                row |= {"seed": seed, "fold": fold, "stream": str(stream)}
                row |= {"run_low": whole["ci95"][0], "run_high": whole["ci95"][1]}
                row |= {key: found[key] for key in ("top1", "top5", "macro", "n")}
                rows.append(row | {key: costs.get(key) for key in _COSTS})
    return pd.DataFrame(rows)


def summarize(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Top-1 per cell and stream: the mean over seeds of each run's own figure, with its 95 % interval.

    A run's figure is over the tests of all its folds, as in its metrics.json. The interval is Student's t
    over seeds; with one seed it is the run's own, over its clips or groups.
    """
    rows = []
    for values, part in table.groupby([*keys, "stream"], sort=False):
        right = (part["top1"] * part["n"]).groupby(part["seed"]).sum()
        found = mean_interval(list(right / part["n"].groupby(part["seed"]).sum()))
        if len(right) == 1:
            found = Interval(found.value, float(part["run_low"].iloc[0]), float(part["run_high"].iloc[0]))
        names = values if isinstance(values, tuple) else (values,)
        row: Row = dict(zip([*keys, "stream"], names, strict=True))
        low, high = np.clip([found.low, found.high], 0, 100)  # Student's t knows no bounds
        row |= {"mean": found.value, "low": float(low), "high": float(high), "runs": len(right)}
        rows.append(row | {key: part[key].median() for key in _COSTS})
    return pd.DataFrame(rows)


def comparisons(ablation: Ablation, runs: Sequence[Run]) -> pd.DataFrame:
    """Every cell against the reference, test by test, in percentage points.

    A test is a clip with a seed and a fold; those that both cells have count, each alike. Where both
    have all, the difference is that of the means. The interval is a paired bootstrap over groups (clips
    where groups are unknown) with all their tests, p a permutation test over the same, raised for the
    number of comparisons (Holm). ``left_out`` counts tests that one of the two alone has.
    """
    tested = {cell_words(cell): _tests(ablation.stream, cell, runs) for cell in ablation.cells()}
    reference = tested[cell_words(ablation.reference)]
    rows = []
    for cell in ablation.cells():
        if cell_words(cell) == cell_words(ablation.reference):
            continue
        own = tested[cell_words(cell)]
        keys = sorted(own.keys() & reference.keys())
        if not keys:
            continue
        clips = [key.name for _, key in keys]
        units = units_of(clips, [own[key].group for key in keys]).names
        a, b = ([float(of[key].correct) for key in keys] for of in (own, reference))
        found = paired_bootstrap(a, b, groups=units)
        row: Row = {key: str(value) for key, value in cell.items()}
        row |= {"difference": found.value, "low": found.low, "high": found.high, "clips": len(set(clips))}
        row |= {"tests": len(keys), "left_out": len(own.keys() ^ reference.keys())}
        rows.append(row | {"p": permutation_p(a, b, groups=units), "_found": found})
    table = pd.DataFrame(rows)
    if len(table):
        table["p"] = holm(list(table["p"]))
        table["verdict"] = [verdict(f, p) for f, p in zip(table.pop("_found"), table["p"], strict=True)]
    return table


def _tests(stream: str, cell: Cell, runs: Sequence[Run]) -> Tests:
    """(seed, clip and fold) -> prediction; empty if the stream was not tested."""
    found: Tests = {}
    for other, seed, experiment in runs:
        path = experiment.run.dir / f"predictions_{stream}.csv"
        if cell_words(other) == cell_words(cell) and path.is_file():
            found |= {(seed, key): value for key, value in read_predictions(path).items()}
    return found


def condense(summary: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """For people: streams that the grid does not touch once, as "all", instead of in every cell."""
    rows, told = [], set()
    for row in records(summary):
        same = summary[summary["stream"] == row["stream"]]
        if len(same) > 1 and same["mean"].nunique() == 1 and same["trainable"].nunique(dropna=False) == 1:
            if row["stream"] in told:
                continue
            told.add(row["stream"])
            row |= dict.fromkeys(keys, "all")
        rows.append(row)
    rows.sort(key=lambda row: row[keys[0]] == "all")
    return pd.DataFrame(rows)


def records(table: pd.DataFrame) -> list[Row]:
    """Rows of a table as plain dictionaries."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict(orient="records")]


def write_table(place: Path, table: pd.DataFrame, *, parquet: bool) -> None:
    """Write a table as CSV, and as parquet beside it."""
    write_text(place.with_suffix(".csv"), table.to_csv(index=False, lineterminator="\n"))
    if parquet:
        with atomic_path(place.with_suffix(".parquet")) as draft:
            table.to_parquet(draft, index=False)


def summary_markdown(
    path: Path,
    ablation: Ablation,
    summary: pd.DataFrame,
    differences: pd.DataFrame,
    failures: Sequence[tuple[str, str]],
) -> None:
    """Write the grid's page."""
    keys = list(ablation.grid)
    header = [*keys, "stream", "top-1 %", "95 % interval", "runs", "trained", "GFLOPs", "ms"]
    parts = [
        f"# {ablation.name}\n",
        markdown_table(header, [_summary_row(row, keys) for row in records(condense(summary, keys))]) + "\n",
        f"Means over seeds {', '.join(map(str, ablation.seeds))}, each over the tests of all its folds; intervals are "
        "Student's t over these runs, or of one run alone its own, over its clips or groups. GFLOPs and milliseconds (this machine, one clip at a time) are of one clip with all its views.\n",
        "![results](plot.png)\n",
    ]
    if len(differences):
        rows = [_difference_row(row, keys) for row in records(differences)]
        parts += [
            f"## {Stream(ablation.stream).words}: difference from {cell_words(ablation.reference)}\n",
            markdown_table([*keys, "points", "95 % interval", "p", "clips", ""], rows) + "\n",
            "Points are paired test by test: a clip with the same seed and fold in both cells, each test counted once. "
            f"{_unpaired(differences)} Paired bootstrap and permutation test over groups of clips (over clips where "
            "groups are unknown); p is raised for the number of comparisons (Holm). The seeds' spread is in the table "
            "above, not here.\n",
        ]
    if failures:
        parts.append("## Not run\n\n" + "\n".join(f"- {words}: {why}" for words, why in failures) + "\n")
    write_text(path, "\n".join(parts))


def _unpaired(differences: pd.DataFrame) -> str:
    """Whether the points are the difference of the means beside them."""
    if not differences["left_out"].any():
        return "They are the differences of the means above."
    most = int(differences["left_out"].max())
    return (
        f"They are not the differences of the means above: up to {most} tests of one cell have no partner in the "
        "reference and are left out here."
    )


def _summary_row(row: Row, keys: Sequence[str]) -> list[str]:
    def number(key: str, scale: float, form: str) -> str:
        return "" if pd.isna(row[key]) else format(row[key] / scale, form)

    interval: str = "-" if pd.isna(row["low"]) else f"{row['low']:.1f} to {row['high']:.1f}"
    return [
        *(str(row[key]) for key in keys), Stream(str(row["stream"])).words, f"{row['mean']:.1f}", interval,
        str(row["runs"]), number("trainable", 1e6, ".2f") + " M", number("gflops", 1, ".2f"),
        number("latency_ms", 1, ".1f"),
    ]  # fmt: skip


def _difference_row(row: Row, keys: Sequence[str]) -> list[str]:
    return [
        *(str(row[key]) for key in keys), f"{row['difference']:+.1f}", f"{row['low']:+.1f} to {row['high']:+.1f}",
        f"{row['p']:.3f}", str(row["clips"]), str(row["verdict"]),
    ]  # fmt: skip
