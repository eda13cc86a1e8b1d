"""Predictions as lines, tables and files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mv_tools.urls import spelled

from ..storage.names import printable, valid_unicode
from ..storage.tables import write_table
from ..streams import Stream
from .console import err, print_table

if TYPE_CHECKING:
    from ..predict.classifier import Prediction

__all__ = ["cost_line", "print_line", "print_streams", "write_predictions"]

_COLUMNS: Final = (Stream.FUSION, Stream.MOTION, Stream.APPEARANCE)


def print_line(prediction: Prediction, labels: int) -> None:
    """Path, label and the next ones with their probabilities, and time."""
    first, *others = [f"{label} {100 * score:.1f} %" for label, score in prediction.ranking[:labels]]
    runner_up = f"  ({', '.join(others)})" if others else ""
    line = f"{spelled(prediction.path)}: {first}{runner_up}  {prediction.seconds:.2f} s"
    sys.stdout.write(printable(line) + "\n")
    sys.stdout.flush()
    for note in prediction.notes:
        err.print(f"  {printable(note)}", markup=False)


def cost_line(predictions: Sequence[Prediction]) -> str:
    """What a file cost on average, as a sentence."""
    count = len(predictions)
    looked = sum(prediction.frames > 0 for prediction in predictions)
    operations = [prediction.gflops for prediction in predictions if prediction.gflops is not None]
    parts = [f"{1000 * sum(p.cpu_seconds for p in predictions) / count:.0f} ms CPU a file"]
    if len(operations) == count:
        parts.append(f"{sum(operations) / count:.1f} GFLOPs")
    parts.append(f"{100 * looked / count:.0f} % of the files needed pictures")
    engines = " and ".join(sorted({prediction.engine for prediction in predictions}))
    return f"{count} file{'s' if count > 1 else ''}: {', '.join(parts)} (engine: {engines})"


def print_streams(prediction: Prediction) -> None:
    """Print a table with a column per stream."""
    shown = {str(name): prediction.streams[name] for name in _COLUMNS if name in prediction.streams}
    rows = [
        [
            str(place + 1),
            *(f"{ranking[place][0]} {100 * ranking[place][1]:.1f} %" for ranking in shown.values()),
        ]
        for place in range(len(prediction.ranking))
    ]
    title = f"{spelled(prediction.path)}: {prediction.ranking[0][0]} ({prediction.seconds:.1f} s)"
    print_table(title, ["", *shown], rows)
    for note in prediction.notes:
        err.print(f"  {printable(note)}", markup=False)


def write_predictions(path: Path, predictions: Sequence[Prediction]) -> None:
    """Write a table path,rank,label,score (.csv or .parquet)."""
    rows = [
        (valid_unicode(spelled(prediction.path)), rank, label, score)
        for prediction in predictions
        for rank, (label, score) in enumerate(prediction.ranking, start=1)
    ]
    write_table(path, {"path": str, "rank": int, "label": str, "score": float}, rows)
