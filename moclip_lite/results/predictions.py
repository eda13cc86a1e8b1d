"""The table of a stream's predictions, clip by clip: writing and reading it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import CheckpointError
from ..storage.files import write_text
from .fold_result import Tests

__all__ = ["ClipKey", "Prediction", "read_predictions", "write_predictions"]

_COLUMNS: Final = ("clip", "label", "predicted", "score", "group", "fold")
_LATER: Final = ("group", "fold")
"""Columns that earlier versions did not write."""


class ClipKey(NamedTuple):
    """A test of a clip: its name and the fold (a clip may be tested in several)."""

    name: str
    fold: str


class Prediction(NamedTuple):
    """The prediction of a stream for a clip.

    Attributes:
        label: its class.
        predicted: the class with the highest score.
        score: probability of the predicted class.
        group: the group that the split was cut by; None where groups are unknown.
    """

    label: str
    predicted: str
    score: float
    group: str | None = None

    @property
    def correct(self) -> bool:
        """Whether it was right."""
        return self.label == self.predicted


def write_predictions(path: Path, tests: Sequence[tuple[str, Tests]]) -> None:
    """Write a row per test: the clip, its label and prediction, its group ("" without one) and the fold.

    Args:
        path: the table to write, CSV.
        tests: fold name and tests of each fold.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for fold, (clips, labels, all_scores) in tests:
        for clip, scores in zip(clips, all_scores, strict=True):
            best = int(scores.argmax())
            score = f"{scores[best]:.4f}"
            writer.writerow([clip.name, clip.label, labels[best], score, clip.group or "", fold])
    write_text(path, text.getvalue())


def read_predictions(path: Path) -> dict[ClipKey, Prediction]:
    """Read a table of predictions.

    Raises:
        CheckpointError: it is damaged.
    """
    predictions: dict[ClipKey, Prediction] = {}
    turns: dict[str, int] = {}  # where a version wrote no folds
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            _check_header(path, table.fieldnames or ())
            for row in table:
                turns[row["clip"]] = turns.get(row["clip"], -1) + 1
                key = ClipKey(row["clip"], row.get("fold", str(turns[row["clip"]])))
                if not key.fold:
                    raise ValueError(f"line {table.line_num} has no fold")
                predictions[key] = Prediction(
                    row["label"], row["predicted"], float(row["score"]), row.get("group") or None
                )
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise CheckpointError(f"{path} is damaged: {json.dumps(str(error))}") from error
    return predictions


def _check_header(path: Path, header: Sequence[str]) -> None:
    """Refuse a table without a column that every version wrote, or with one that none wrote.

    Raises:
        CheckpointError: it is so.
    """
    if absent := [name for name in _COLUMNS if name not in header and name not in _LATER]:
        raise CheckpointError(f"{path} is damaged: it has no column {absent[0]!r}")
    if odd := [name for name in header if name not in _COLUMNS]:
        raise CheckpointError(
            f"{path} is damaged: it has a column {odd[0]!r}; the columns are {','.join(_COLUMNS)}"
        )
