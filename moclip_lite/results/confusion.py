"""Matplotlib figures without global state; a confusion matrix as PNG and CSV."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from ..storage.files import atomic_path, write_text
from ..storage.names import printable, told_apart

__all__ = ["drawing", "save_confusion_csv", "save_confusion_png"]

_MAX_NAME: Final = 40  # characters beside a matrix


@contextmanager
def drawing(width: float, height: float, style: Mapping[str, Any] | None = None) -> Iterator[Figure]:
    """A figure without a backend; matplotlib's global settings are restored after the block.

    Args:
        width, height: in inches.
        style: rcParams within the block. Text with "$", such as a class name, is never parsed as math.
    """
    settings: dict[Any, Any] = {"text.parse_math": False, **(style or {})}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # A character that the font lacks, such as an emoji, is drawn as a box.
        warnings.filterwarnings("ignore", r"Glyph \d+|Matplotlib currently does not support", UserWarning)
        yield Figure(figsize=(width, height), layout="constrained")


def save_confusion_csv(path: Path, confusion: npt.NDArray[np.int64], names: Sequence[str]) -> None:
    """Write the counts: a row per true class, a column per predicted class."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["true \\ predicted", *names])
    writer.writerows([name, *row] for name, row in zip(names, confusion.tolist(), strict=True))
    write_text(path, text.getvalue())


def save_confusion_png(
    path: Path, confusion: npt.NDArray[np.int64], names: Sequence[str], title: str
) -> None:
    """Draw the matrix in percent of each true class; cells have numbers up to 25 classes."""
    names = told_apart([printable(name) for name in names], _MAX_NAME)
    share = 100 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    count = len(names)
    side = float(np.clip(2.5 + 0.32 * count, 4, 24))
    size = 8 if count <= 40 else 5
    with drawing(side + 1.2, side) as figure:
        axes = figure.subplots()
        image = axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
        axes.set_xticks(range(count), names, rotation=90, fontsize=size)
        axes.set_yticks(range(count), names, fontsize=size)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.set_title(title)
        if count <= 25:
            for row, column in zip(*np.nonzero(confusion), strict=True):
                value = share[row, column]
                colour = "white" if value > 55 else "black"
                axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=7, color=colour)
        figure.colorbar(image, ax=axes, label="% of true class", shrink=0.8)
        with atomic_path(path) as draft:
            figure.savefig(draft, dpi=120)
