"""A grid drawn: top-1 with its interval beside the difference from the reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..results.confusion import drawing
from ..storage.files import atomic_path
from ..streams import Stream
from .grid import Ablation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]


def draw(path: Path, ablation: Ablation, summary: pd.DataFrame, differences: pd.DataFrame) -> None:
    """Draw a curve where the grid is one row of numbers, else a row per cell."""
    keys = list(ablation.grid)
    cells = [tuple(str(value) for value in cell.values()) for cell in ablation.cells()]
    wide = 2 if len(differences) else 1
    with drawing(5.5 * wide, max(3.2, 0.42 * len(cells) + 1.4)) as figure:
        axes = figure.subplots(1, wide, squeeze=False)[0]
        numbers = _numbers(ablation)
        if numbers is None:
            _rows(axes[0], cells, keys, summary)
        else:
            _curve(axes[0], keys[0], numbers, cells, summary)
        if len(differences):
            _differences(axes[1], ablation, cells, keys, differences)
        figure.suptitle(ablation.name.replace("_", " "))
        with atomic_path(path) as draft:
            figure.savefig(draft, dpi=130)


def _numbers(ablation: Ablation) -> list[float] | None:
    """Places on an axis for a grid of one key with numbers; the last may be null, for "all"."""
    if len(ablation.grid) != 1:
        return None
    values: list[Any] = next(iter(ablation.grid.values()))
    plain = values[:-1] if values[-1] is None else values
    if len(values) < 3:
        return None
    try:
        places = [float(str(value)) for value in plain]  # a file's values are text
    except ValueError:
        return None
    if not all(map(math.isfinite, places)):
        return None
    return places + ([2 * places[-1]] if values[-1] is None else [])


def _curve(
    axes: Axes, key: str, places: Sequence[float], cells: Sequence[tuple[str, ...]], summary: pd.DataFrame
) -> None:
    for stream in summary["stream"].unique():
        part = summary[summary["stream"] == stream].set_index(key).reindex([cell[0] for cell in cells])
        (line,) = axes.plot(places, part["mean"], "o-", label=Stream(stream).words)
        axes.fill_between(places, part["low"], part["high"], color=line.get_color(), alpha=0.15)
    if min(places) > 0 and max(places) / min(places) >= 8:
        axes.set_xscale("log", base=2)
    axes.set_xticks(places, [cell[0].replace("None", "all") for cell in cells])
    axes.minorticks_off()
    axes.set_xlabel(key)
    axes.set_ylabel("top-1, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _rows(axes: Axes, cells: Sequence[tuple[str, ...]], keys: Sequence[str], summary: pd.DataFrame) -> None:
    streams = list(summary["stream"].unique())
    for number, stream in enumerate(streams):
        part = summary[summary["stream"] == stream].set_index(list(keys))
        if len(part) > 1 and part["mean"].nunique() == 1:  # the grid does not touch it
            axes.axvline(part["mean"].iloc[0], color=f"C{number}", ls=":", lw=1.2, label=Stream(stream).words)
            continue
        part = part.reindex(pd.MultiIndex.from_tuples(cells) if len(keys) > 1 else [c[0] for c in cells])
        shift = 0.6 * ((number + 0.5) / len(streams) - 0.5)
        error = [(part["mean"] - part["low"]).fillna(0), (part["high"] - part["mean"]).fillna(0)]
        places = [place + shift for place in range(len(cells))]
        axes.errorbar(
            part["mean"],
            places,
            xerr=error,
            fmt="o",
            ms=4,
            capsize=2,
            color=f"C{number}",
            label=Stream(stream).words,
        )
    _cell_axis(axes, cells)
    axes.set_xlabel("top-1, % (mean, 95 % interval over runs)")
    axes.legend(fontsize=7)


def _differences(
    axes: Axes,
    ablation: Ablation,
    cells: Sequence[tuple[str, ...]],
    keys: Sequence[str],
    differences: pd.DataFrame,
) -> None:
    colours = {"better": "tab:green", "worse": "tab:red"}
    for _, row in differences.iterrows():
        place = cells.index(tuple(str(row[key]) for key in keys))
        error = [[row["difference"] - row["low"]], [row["high"] - row["difference"]]]
        colour = colours.get(row["verdict"], "tab:gray")
        axes.errorbar([row["difference"]], [place], xerr=error, fmt="o", ms=4, capsize=2, color=colour)
    axes.plot([0], [cells.index(tuple(str(v) for v in ablation.reference.values()))], "k|", ms=14)
    axes.axvline(0, color="black", lw=0.8)
    _cell_axis(axes, cells)
    axes.set_xlabel(f"{Stream(ablation.stream).words}: points from the reference, same clips")


def _cell_axis(axes: Axes, cells: Sequence[tuple[str, ...]]) -> None:
    axes.set_yticks(range(len(cells)), [", ".join(cell).replace("None", "all") for cell in cells])
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
