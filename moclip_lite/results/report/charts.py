"""Charts as SVG in the text colour of the page, for its light and dark themes."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any, Final

from ...streams import Stream
from ..confusion import drawing

__all__ = ["curves_svg", "themed"]

_TEXT: Final = "#010203"  # replaced by currentColor
_STAGES: Final = (Stream.MOTION, Stream.APPEARANCE, Stream.FUSION)
_COLOURS: Final = {"loss": "#7f8c9b", "val_loss": "#d9822b", "accuracy": "#3b82c4"}
_COLOURED: Final = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "moclip",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    **dict.fromkeys(_COLOURED, _TEXT),
}


def curves_svg(training: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Losses and validation accuracy by epoch: a column per stage, a line per fold.

    Args:
        training: fold -> stage -> result with ``history`` and ``best_epoch``.

    Returns:
        SVG without an XML declaration, or None if nothing was trained in epochs.
    """
    stages = [s for s in _STAGES if any(_history(fold, s) for fold in training.values())]
    if not stages:
        return None
    with drawing(3.1 * len(stages) + 0.6, 4.2, _STYLE) as figure:
        grid = figure.subplots(2, len(stages), squeeze=False, sharex="col")
        for column, stage in enumerate(stages):
            _draw(grid[0, column], grid[1, column], stage, training)
        grid[0, 0].set_ylabel("cross-entropy")
        grid[0, 0].legend(["train", "validation"], fontsize=8)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return themed(text.getvalue())


def themed(svg: str) -> str:
    """A matplotlib SVG for embedding: without XML declaration and metadata, in the page's text colour.

    Its style sheet is removed, because it would apply to the whole page.
    """
    bare = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return bare.replace(_TEXT, "currentColor").strip()


def _history(fold: Mapping[str, Any], stage: str) -> list[dict[str, float]]:
    """Rows of a stage's epochs; none of a head whose weights a solver found, at no learning rate."""
    rows = (fold.get(stage) or {}).get("history") or []
    return [row for row in rows if {"epoch", "loss", "val_loss", "accuracy", "lr"} <= row.keys()]


def _draw(top: Any, bottom: Any, stage: str, training: Mapping[str, Mapping[str, Any]]) -> None:
    several = len(training) > 1
    style = {"alpha": 0.45, "linewidth": 0.9} if several else {"linewidth": 1.6}
    for fold in training.values():
        rows = _history(fold, stage)
        epochs = [row["epoch"] + 1 for row in rows]
        marker = "." if len(rows) == 1 else ""
        for axes, key in ((top, "loss"), (top, "val_loss"), (bottom, "accuracy")):
            axes.plot(epochs, [row[key] for row in rows], color=_COLOURS[key], marker=marker, **style)
        if not several and rows:
            for axes in (top, bottom):
                axes.axvline(fold[stage]["best_epoch"] + 1, color=_TEXT, linewidth=0.7, linestyle=":")
    top.set_title(stage, fontsize=10)
    top.set_ylim(bottom=0)
    bottom.set_ylim(0, 100)
    bottom.set_xlabel("epoch")
    bottom.set_ylabel(f"validation %, {Stream(stage).validation_measure}")
    for axes in (top, bottom):
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.15, color=_TEXT)
