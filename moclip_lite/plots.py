"""Pictures and tables of a confusion matrix."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt

from .storage import atomic_path, write_text

__all__ = ["save_confusion_csv", "save_confusion_png"]

matplotlib.use("Agg")
matplotlib.rcParams["text.parse_math"] = False  # "$" in a class name is a dollar


def save_confusion_csv(path: Path, confusion: npt.NDArray[np.int64], names: Sequence[str]) -> None:
    """Counts: a row per true class, a column per predicted one."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["true \\ predicted", *names])
    writer.writerows([name, *row] for name, row in zip(names, confusion.tolist(), strict=True))
    write_text(path, text.getvalue())


def save_confusion_png(
    path: Path, confusion: npt.NDArray[np.int64], names: Sequence[str], title: str
) -> None:
    """A picture in percent of each true class; numbers are written in up to 25 classes."""
    from matplotlib import pyplot

    share = 100 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    count = len(names)
    side = float(np.clip(2.5 + 0.32 * count, 4, 24))
    figure, axes = pyplot.subplots(figsize=(side + 1.2, side), layout="constrained")
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    size = 8 if count <= 40 else 5
    axes.set_xticks(range(count), names, rotation=90, fontsize=size)
    axes.set_yticks(range(count), names, fontsize=size)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title)
    if count <= 25:
        for row, column in zip(*np.nonzero(confusion), strict=True):
            value = share[row, column]
            axes.text(
                column, row, f"{value:.0f}", ha="center", va="center", fontsize=7,
                color="white" if value > 55 else "black",
            )  # fmt: skip
    figure.colorbar(image, ax=axes, label="% of true class", shrink=0.8)
    with atomic_path(path) as draft:
        figure.savefig(draft, dpi=120)
    pyplot.close(figure)
