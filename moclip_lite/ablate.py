"""A grid of configurations x seeds over one cache: tidy table, summary and a picture."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import yaml
from scipy import stats

from .config import Experiment, load_experiment
from .digest import digest_bytes
from .errors import ConfigError
from .report import markdown_table
from .storage import atomic_path, write_text

__all__ = ["Ablation", "interval", "load_ablation", "run_ablation", "summarize"]

matplotlib.use("Agg")


@dataclass(frozen=True)
class Ablation:
    """A grid.

    Attributes:
        name: of the file, for titles.
        base: configuration file that every cell starts from.
        overrides: applied to every cell.
        grid: configuration key -> values; cells are all combinations.
        seeds: run.seed of each repetition; the splits differ with it, and are the same for all cells.
    """

    name: str
    base: Path | None
    overrides: tuple[str, ...]
    grid: dict[str, list[Any]]
    seeds: tuple[int, ...]

    def cells(self) -> list[dict[str, Any]]:
        """All combinations, in the order of the file."""
        return [
            dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())
        ]

    def experiment(self, cell: dict[str, Any], seed: int, folder: Path) -> Experiment:
        """The configuration of one cell and seed.

        Raises:
            ConfigError: a key or value of the grid is not valid.
        """
        values = [
            f"{key}={yaml.safe_dump(value, default_flow_style=True).split(chr(10))[0]}"
            for key, value in cell.items()
        ]
        place = folder / "runs" / digest_bytes([repr(sorted(cell.items())).encode()])[:12] / f"seed{seed}"
        return load_experiment(
            self.base, [*self.overrides, *values, f"run.seed={seed}", f"run.dir='{place}'"]
        )


def load_ablation(path: Path, overrides: tuple[str, ...] = ()) -> Ablation:
    """Read a grid: ``base`` (relative to the file), ``set``, ``grid`` and ``seeds``.

    Raises:
        ConfigError: missing, malformed, or a key that no configuration has.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such ablation file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a YAML file") from error
    if not isinstance(value, dict) or set(value) - {"base", "set", "grid", "seeds"}:
        raise ConfigError(f"{path}: expected the keys base, set, grid and seeds")
    grid, seeds = value.get("grid"), value.get("seeds", [0, 1, 2])
    if not isinstance(grid, dict) or not grid or not all(isinstance(v, list) and v for v in grid.values()):
        raise ConfigError(f"{path}: 'grid' must map configuration keys to lists of values")
    if not isinstance(seeds, list) or not seeds or not all(isinstance(s, int) for s in seeds):
        raise ConfigError(f"{path}: 'seeds' must be a list of whole numbers")
    base = path.parent / str(value["base"]) if "base" in value else None
    ablation = Ablation(path.stem, base, (*value.get("set", []), *overrides), dict(grid), tuple(seeds))
    for cell in ablation.cells():
        ablation.experiment(cell, seeds[0], Path())  # refuse bad keys before hours of work
    return ablation


def interval(values: list[float]) -> float:
    """Half of the 95 % interval of a mean (Student's t); NaN for one value."""
    if len(values) < 2:
        return float("nan")
    return float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))


def run_ablation(
    ablation: Ablation, out: Path, run: Callable[[Experiment], dict[str, Any]], say: Callable[[str], None]
) -> pd.DataFrame:
    """Run what is not done yet and write ``table.csv``, ``summary.md`` and ``plot.png``.

    Args:
        ablation: the grid.
        out: folder of all results.
        run: runs one experiment and returns its metrics (finished ones are skipped by it).
        say: told each cell.

    Returns:
        A row per cell, seed and stream: the cell's values, seed, stream, top1, top5, macro, n,
        trained parameters and GFLOPs.
    """
    rows = []
    cells = ablation.cells()
    for number, (cell, seed) in enumerate(itertools.product(cells, ablation.seeds), start=1):
        say(f"[{number} of {len(cells) * len(ablation.seeds)}] {_words(cell)}, seed {seed}")
        metrics = run(ablation.experiment(cell, seed, out))
        for stream in ("motion", "appearance", "fusion"):
            if stream in metrics:
                cost = metrics["costs"].get(stream, {})
                scores = {key: metrics[stream][key] for key in ("top1", "top5", "macro", "n")}
                shown = {key: str(value) for key, value in cell.items()}
                row = {**shown, "seed": seed, "stream": stream, **scores}
                rows.append(row | {key: cost.get(key) for key in ("trainable", "gflops")})
    table = pd.DataFrame(rows)
    write_text(out / "table.csv", table.to_csv(index=False, lineterminator="\n"))
    summary = summarize(table, list(ablation.grid))
    write_text(out / "summary.md", _markdown(ablation, summary))
    _plot(out / "plot.png", summary, ablation)
    return summary


def _words(cell: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in cell.items())


def summarize(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Mean and half of the 95 % interval of top1 over seeds, per cell and stream."""
    grouped = table.groupby([*keys, "stream"], sort=False)
    out = grouped["top1"].agg(mean="mean", half=lambda v: interval(list(v)), runs="count")
    costs = grouped[["trainable", "gflops"]].first()
    joined: pd.DataFrame = out.join(costs).reset_index()
    return joined


def _markdown(ablation: Ablation, summary: pd.DataFrame) -> str:
    keys = list(ablation.grid)
    header = [*keys, "stream", "top-1 %", "95 % interval", "runs", "trained", "GFLOPs"]
    rows = [
        [
            *(str(row[key]) for key in keys), str(row["stream"]), f"{row['mean']:.1f}",
            "-" if np.isnan(row["half"]) else f"±{row['half']:.1f}", str(row["runs"]),
            f"{row['trainable'] / 1e6:.2f} M", f"{row['gflops']:.2f}",
        ]
        for _, row in summary.iterrows()
    ]  # fmt: skip
    return f"# {ablation.name}\n\n{markdown_table(header, rows)}\n\nMean over seeds {list(ablation.seeds)}.\n"


def _plot(path: Path, summary: pd.DataFrame, ablation: Ablation) -> None:
    from matplotlib import pyplot

    keys = list(ablation.grid)
    cells = list(dict.fromkeys(tuple(row[key] for key in keys) for _, row in summary.iterrows()))
    names = ["\n".join(str(value) for value in cell) for cell in cells]
    streams = list(dict.fromkeys(summary["stream"]))
    figure, axes = pyplot.subplots(figsize=(max(5.0, 1.3 * len(cells) + 2), 4), layout="constrained")
    width = 0.8 / len(streams)
    for position, stream in enumerate(streams):
        part = (
            summary[summary["stream"] == stream]
            .set_index(keys)
            .reindex(
                pd.MultiIndex.from_tuples(cells, names=keys) if len(keys) > 1 else [cell[0] for cell in cells]
            )
        )
        x = np.arange(len(cells)) + (position - (len(streams) - 1) / 2) * width
        axes.bar(x, part["mean"], width, yerr=part["half"].fillna(0), capsize=3, label=stream)
    axes.set_xticks(range(len(cells)), names, fontsize=8)
    axes.set_xlabel(", ".join(keys))
    axes.set_ylabel("top-1 %, 95 % interval over seeds")
    axes.set_ylim(0, 100)
    axes.legend()
    with atomic_path(path) as draft:
        figure.savefig(draft, dpi=120)
    pyplot.close(figure)
