"""What a grid's runs say together: a tidy table, means with intervals, comparisons on the same clips."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..config import Experiment
from ..errors import CheckpointError
from ..report import STREAM_WORDS, markdown_table
from ..runs import STREAMS
from ..statistics import holm, mean_interval, paired_bootstrap, permutation_p, verdict
from ..storage import atomic_path, read_json, write_text
from .grid import Ablation, Cell, cell_words

__all__ = ["comparisons", "condense", "records", "summarize", "summary_markdown", "tidy_table", "write_table"]

Run = tuple[Cell, int, Experiment]
Row = dict[str, Any]
Correct = dict[tuple[int, str], list[bool]]
Shares = npt.NDArray[np.float64]
_COSTS: Final = ("trainable", "gflops", "latency_ms")


def tidy_table(runs: Sequence[Run]) -> pd.DataFrame:
    """A row per cell, seed, fold and stream, from the metrics of finished runs."""
    rows = []
    for cell, seed, experiment in runs:
        metrics = read_json(experiment.run.dir / "metrics.json")
        for stream in STREAMS:
            if stream not in metrics:
                continue
            whole, costs = metrics[stream], metrics["costs"].get(stream, {})
            folds = whole.get("per_fold") or [whole]
            for fold, found in zip(metrics["folds"], folds, strict=True):
                row: Row = {key: str(value) for key, value in cell.items()}
                row |= {"seed": seed, "fold": fold, "stream": stream}
                row |= {key: found[key] for key in ("top1", "top5", "macro", "n")}
                rows.append(row | {key: costs.get(key) for key in _COSTS})
    return pd.DataFrame(rows)


def summarize(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Mean top-1 with its 95 % interval over seeds and folds (Student's t), per cell and stream."""
    rows = []
    for values, part in table.groupby([*keys, "stream"], sort=False):
        found = mean_interval([float(v) for v in part["top1"]])
        names = values if isinstance(values, tuple) else (values,)
        row: Row = dict(zip([*keys, "stream"], names, strict=True))
        low, high = np.clip([found.low, found.high], 0, 100)  # Student's t knows no bounds
        row |= {"mean": found.value, "low": float(low), "high": float(high), "runs": len(part)}
        rows.append(row | {key: part[key].median() for key in _COSTS})
    return pd.DataFrame(rows)


def comparisons(ablation: Ablation, runs: Sequence[Run], groups: Mapping[str, str]) -> pd.DataFrame:
    """Every cell against the reference, clip by clip, in percentage points.

    A clip counts with the share of seeds and folds in which it was right. The interval is a paired
    bootstrap over groups of clips, p a permutation test over the same groups, raised for the number
    of comparisons (Holm).
    """
    correct = {cell_words(cell): _correct(ablation.stream, cell, runs) for cell in ablation.cells()}
    reference = correct[cell_words(ablation.reference)]
    rows = []
    for cell in ablation.cells():
        if cell == ablation.reference:
            continue
        clips, a, b = _pair(correct[cell_words(cell)], reference)
        if not clips:
            continue
        of_group = [groups.get(clip, clip) for clip in clips]
        found = paired_bootstrap(a, b, groups=of_group)
        row: Row = {key: str(value) for key, value in cell.items()}
        row |= {"difference": found.value, "low": found.low, "high": found.high, "clips": len(clips)}
        rows.append(row | {"p": permutation_p(a, b, groups=of_group), "_found": found})
    table = pd.DataFrame(rows)
    if len(table):
        table["p"] = holm(list(table["p"]))
        table["verdict"] = [verdict(f, p) for f, p in zip(table.pop("_found"), table["p"], strict=True)]
    return table


def _pair(own: Correct, reference: Correct) -> tuple[list[str], Shares, Shares]:
    """Clips that both tested with the same seeds, and the share of these that each had right."""
    shares: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for seed, clip in sorted(set(own) & set(reference)):
        key = seed, clip
        shares[clip].append((float(np.mean(own[key])), float(np.mean(reference[key]))))
    clips = sorted(shares)
    means = np.array([np.mean(shares[clip], axis=0) for clip in clips]).reshape(-1, 2)
    return clips, means[:, 0], means[:, 1]


def _correct(stream: str, cell: Cell, runs: Sequence[Run]) -> Correct:
    """(seed, clip) -> right or wrong in each fold that tested it."""
    found: Correct = defaultdict(list)
    for other, seed, experiment in runs:
        if other != cell:
            continue
        path = experiment.run.dir / f"predictions_{stream}.csv"
        try:
            with path.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    found[seed, row["clip"]].append(row["label"] == row["predicted"])
        except FileNotFoundError:
            return {}  # this stream was not tested
        except (KeyError, UnicodeDecodeError, csv.Error) as error:
            raise CheckpointError(f"{path} is not a table of predictions") from error
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
        f"Means over seeds {', '.join(map(str, ablation.seeds))} and their folds; intervals are Student's t over "
        "these runs. GFLOPs and milliseconds (this machine, one clip at a time) are of one clip with all its views.\n",
        "![results](plot.png)\n",
    ]
    if len(differences):
        rows = [_difference_row(row, keys) for row in records(differences)]
        parts += [
            f"## {STREAM_WORDS[ablation.stream]}: difference from {cell_words(ablation.reference)}\n",
            markdown_table([*keys, "points", "95 % interval", "p", "clips", ""], rows) + "\n",
            "On the same clips: paired bootstrap and permutation test over groups of clips; p is raised for the "
            "number of comparisons (Holm). The seeds' spread is in the table above, not here.\n",
        ]
    if failures:
        parts.append("## Not run\n\n" + "\n".join(f"- {words}: {why}" for words, why in failures) + "\n")
    write_text(path, "\n".join(parts))


def _summary_row(row: Row, keys: Sequence[str]) -> list[str]:
    def number(key: str, scale: float, form: str) -> str:
        return "" if pd.isna(row[key]) else format(row[key] / scale, form)

    interval: str = "-" if pd.isna(row["low"]) else f"{row['low']:.1f} to {row['high']:.1f}"
    return [
        *(str(row[key]) for key in keys), STREAM_WORDS[str(row["stream"])], f"{row['mean']:.1f}", interval,
        str(row["runs"]), number("trainable", 1e6, ".2f") + " M", number("gflops", 1, ".2f"),
        number("latency_ms", 1, ".1f"),
    ]  # fmt: skip


def _difference_row(row: Row, keys: Sequence[str]) -> list[str]:
    return [
        *(str(row[key]) for key in keys), f"{row['difference']:+.1f}", f"{row['low']:+.1f} to {row['high']:+.1f}",
        f"{row['p']:.3f}", str(row["clips"]), str(row["verdict"]),
    ]  # fmt: skip
