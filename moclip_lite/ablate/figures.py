"""The figure of a grid: top-1 with intervals beside the differences from the reference."""

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
from .tables import is_unaffected

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

_LABEL = 40  # characters of a row's label; longer ones, such as paths, keep their end

Labels = Sequence[tuple[str, ...]]  # the values of each cell


def draw(path: Path, ablation: Ablation, summary: pd.DataFrame, differences: pd.DataFrame) -> None:
    """Draw a curve for a grid of one numeric setting, else a row per cell."""
    labels = [tuple(str(value) for value in cell.values()) for cell in ablation.cells()]
    columns = 2 if len(differences) else 1
    with drawing(5.5 * columns, max(3.2, 0.42 * len(labels) + 1.4)) as figure:
        axes = figure.subplots(1, columns, squeeze=False)[0]
        positions = _axis_positions(ablation)
        if positions is None:
            _draw_rows(axes[0], labels, list(ablation.grid), summary)
        else:
            _draw_curves(axes[0], next(iter(ablation.grid)), positions, labels, summary)
        if len(differences):
            _draw_differences(axes[1], ablation, labels, differences)
        figure.suptitle(ablation.name.replace("_", " "))
        with atomic_path(path) as draft:
            figure.savefig(draft, dpi=130)


def _axis_positions(ablation: Ablation) -> list[float] | None:
    """Positions on an axis of three or more numbers of a single setting; a last null stands for "all"."""
    if len(ablation.grid) != 1:
        return None
    values: list[Any] = next(iter(ablation.grid.values()))
    numbers = values[:-1] if values[-1] is None else values
    if len(values) < 3:
        return None
    try:
        positions = [float(str(value)) for value in numbers]  # values read from YAML are text
    except ValueError:
        return None
    if not all(map(math.isfinite, positions)):
        return None
    return positions + ([2 * positions[-1]] if values[-1] is None else [])


def _draw_curves(
    axes: Axes, key: str, positions: Sequence[float], labels: Labels, summary: pd.DataFrame
) -> None:
    for stream in summary["stream"].unique():
        rows = summary[summary["stream"] == stream].set_index(key).reindex([label[0] for label in labels])
        rows = rows.assign(position=positions).sort_values("position")
        (line,) = axes.plot(rows["position"], rows["mean"], "o-", label=Stream(stream).words)
        axes.fill_between(rows["position"], rows["low"], rows["high"], color=line.get_color(), alpha=0.15)
    if min(positions) > 0 and max(positions) / min(positions) >= 8:
        axes.set_xscale("log", base=2)
    axes.set_xticks(positions, [label[0].replace("None", "all") for label in labels])
    axes.minorticks_off()
    axes.set_xlabel(key)
    axes.set_ylabel("top-1, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _draw_rows(axes: Axes, labels: Labels, keys: Sequence[str], summary: pd.DataFrame) -> None:
    streams = list(summary["stream"].unique())
    for number, stream in enumerate(streams):
        style: dict[str, Any] = {"color": f"C{number}", "label": Stream(stream).words}
        rows = summary[summary["stream"] == stream].set_index(list(keys))
        if is_unaffected(rows):
            axes.axvline(rows["mean"].iloc[0], ls=":", lw=1.2, **style)
            continue
        rows = rows.reindex(pd.MultiIndex.from_tuples(labels) if len(keys) > 1 else [c[0] for c in labels])
        offset = 0.6 * ((number + 0.5) / len(streams) - 0.5)
        positions = [row + offset for row in range(len(labels))]
        error = [(rows["mean"] - rows["low"]).fillna(0), (rows["high"] - rows["mean"]).fillna(0)]
        axes.errorbar(rows["mean"], positions, xerr=error, fmt="o", ms=4, capsize=2, **style)
    _label_rows(axes, labels)
    axes.set_xlabel("top-1, % (mean, 95 % interval over runs)")
    axes.legend(fontsize=7)


def _draw_differences(axes: Axes, ablation: Ablation, labels: Labels, differences: pd.DataFrame) -> None:
    colours = {"better": "tab:green", "worse": "tab:red"}
    for _, row in differences.iterrows():
        position = labels.index(tuple(str(row[key]) for key in ablation.grid))
        error = [[row["difference"] - row["low"]], [row["high"] - row["difference"]]]
        colour = colours.get(row["verdict"], "tab:gray")
        axes.errorbar([row["difference"]], [position], xerr=error, fmt="o", ms=4, capsize=2, color=colour)
    reference = labels.index(tuple(str(value) for value in ablation.reference.values()))
    axes.plot([0], [reference], "k|", ms=14)
    axes.axvline(0, color="black", lw=0.8)
    _label_rows(axes, labels)
    axes.set_xlabel(f"{Stream(ablation.stream).words}: points from the reference, same clips")


def _label_rows(axes: Axes, labels: Labels) -> None:
    texts = [", ".join(label).replace("None", "all") for label in labels]
    shortened = [text if len(text) <= _LABEL else f"…{text[1 - _LABEL :]}" for text in texts]
    axes.set_yticks(range(len(labels)), shortened)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
