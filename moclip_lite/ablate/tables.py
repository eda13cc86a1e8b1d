"""Tables of a grid's finished runs: one row per test result, means with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from ..results.metrics import Metrics
from ..results.run_folder import RunFolder
from ..results.statistics import Interval, mean_interval
from ..storage.files import atomic_path, read_json, write_text
from ..streams import Stream
from .grid import GridRun

__all__ = [
    "Row",
    "condense",
    "is_unaffected",
    "notes_of_runs",
    "records",
    "summarize",
    "tidy_table",
    "write_table",
]

Row = dict[str, Any]
_COSTS: Final = ("trainable", "gflops", "latency_ms")
_SAME: Final = ("mean", "low", "high", "runs", "trainable", "gflops")
"""Columns of a summary that are equal where the grid does not affect a stream; latencies vary by chance."""


def tidy_table(runs: Sequence[GridRun]) -> pd.DataFrame:
    """A row per cell, seed, fold and stream, from the metrics of finished runs."""
    rows = []
    for run in runs:
        metrics = read_json(RunFolder(run.experiment.run.dir).metrics)
        values = {key: str(value) for key, value in run.cell.items()} | {"seed": run.seed}
        for stream in Stream:
            if stream not in metrics:
                continue
            scores, costs = metrics[stream], metrics["costs"].get(stream, {})
            for fold, part in _by_fold(metrics["folds"], scores):
                row: Row = {**values, "fold": fold, "stream": str(stream)}
                row |= {"run_low": scores["ci95"][0], "run_high": scores["ci95"][1]}
                row |= {key: part[key] for key in ("top1", "top5", "macro", "n")}
                rows.append(row | {key: costs.get(key) for key in _COSTS})
    return pd.DataFrame(rows).astype({"gflops": float, "latency_ms": float})  # unknown: NaN, not None


def _by_fold(folds: Sequence[str], scores: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The scores of a stream in each fold that has it, with the fold's name; "" where it is not known."""
    parts = scores.get("per_fold") or [scores]
    in_order = folds if len(folds) == len(parts) else [""] * len(parts)
    return [(part.get("fold") or name, part) for name, part in zip(in_order, parts, strict=True)]


def summarize(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Mean top-1 over seeds per cell and stream, with its 95 % interval.

    A run's top-1 is over the tests of all its folds, as in its metrics.json. The interval is Student's t
    over seeds, and there is none where all seeds agree exactly; with one seed it is that of the run, over its
    clips or groups.
    """
    rows = []
    for values, part in table.groupby([*keys, "stream"], sort=False):
        correct = (part["top1"] * part["n"]).groupby(part["seed"]).sum()
        mean = mean_interval(list(correct / part["n"].groupby(part["seed"]).sum()))
        if len(correct) == 1:
            mean = Interval(mean.value, float(part["run_low"].iloc[0]), float(part["run_high"].iloc[0]))
        names = values if isinstance(values, tuple) else (values,)
        row: Row = dict(zip([*keys, "stream"], names, strict=True))
        low, high = np.clip([mean.low, mean.high], 0, 100)  # Student's t is unbounded
        row |= {"mean": mean.value, "low": float(low), "high": float(high), "runs": len(correct)}
        rows.append(row | {key: part[key].median() for key in _COSTS})
    return pd.DataFrame(rows)


def is_unaffected(rows: pd.DataFrame) -> bool:
    """Whether a grid does not affect a stream, by its rows of a summary.

    Equal means alone do not show that: other seeds may be better and worse by the same, and without an
    interval all cells may merely be right in all tests.
    """
    same = all(rows[column].nunique(dropna=False) == 1 for column in _SAME)
    return len(rows) > 1 and same and not rows["low"].isna().any()


def notes_of_runs(runs: Sequence[GridRun]) -> list[str]:
    """What the metrics of runs note, each sentence once, with the number of runs unless all say it."""
    count: Counter[str] = Counter()
    for run in runs:
        count.update(list(dict.fromkeys(Metrics.read(RunFolder(run.experiment.run.dir).metrics).notes)))
    return [note if n == len(runs) else f"{note} ({n} of {len(runs)} runs)" for note, n in count.items()]


def condense(summary: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The summary with one row, "all", for each stream that the grid does not affect."""
    rows: list[Row] = []
    done = set()
    for row in records(summary):
        if is_unaffected(summary[summary["stream"] == row["stream"]]):
            if row["stream"] in done:
                continue
            done.add(row["stream"])
            row |= dict.fromkeys(keys, "all")
        rows.append(row)
    rows.sort(key=lambda row: bool(row[keys[0]] == "all"))
    return pd.DataFrame(rows)


def records(table: pd.DataFrame) -> list[Row]:
    """Rows of a table as plain dictionaries."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict(orient="records")]


def write_table(path: Path, table: pd.DataFrame, *, parquet: bool) -> None:
    """Write a table as CSV, and as parquet beside it.

    Args:
        path: of the files, without an ending.
        table: the table.
        parquet: whether to write parquet.
    """
    write_text(path.with_suffix(".csv"), table.to_csv(index=False, lineterminator="\n"))
    if parquet:
        with atomic_path(path.with_suffix(".parquet")) as draft:
            table.to_parquet(draft, index=False)
