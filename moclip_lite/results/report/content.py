"""What a report tells, worked out once for the page and for Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ...streams import Stream
from ..paired import Difference, compare_predictions
from ..read import ClipKey, Prediction, Run
from .charts import curves_svg
from .pictures import Shown, disagreements, show

__all__ = ["ClassRow", "Content", "Matrix", "Rescue", "gather"]

_PICTURES: Final = 4
_ENDS: Final = 10  # best and worst classes


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix as the cells that are not empty: (row, column, clips, share of the row)."""

    stream: str
    words: str
    names: list[str]
    cells: list[tuple[int, int, int, float]]
    top: list[tuple[str, str, int]]


@dataclass(frozen=True)
class ClassRow:
    """A class: tested clips, accuracy by stream in percent, clips that motion gained and lost."""

    label: str
    clips: int
    accuracy: dict[str, float | None]
    gained: int
    lost: int


@dataclass(frozen=True)
class Rescue:
    """Where a stream with motion and the appearance alone differ.

    Attributes:
        stream: "fusion" or "motion".
        gained, lost: clips that only this one, and only the appearance got right.
        rescued, hurt: some of them, drawn.
    """

    stream: Stream
    words: str
    gained: int
    lost: int
    rescued: list[Shown]
    hurt: list[Shown]


@dataclass(frozen=True)
class Content:
    """Everything that a run's report shows."""

    run: Run
    differences: list[tuple[str, Difference]]
    curves: str | None
    matrices: list[Matrix]
    classes: list[ClassRow]
    rescue: Rescue | None

    @property
    def chance(self) -> float:
        """Accuracy of guessing, in percent."""
        return 100 / max(len(self.run.labels), 1)

    @property
    def majority(self) -> tuple[str, float] | None:
        """The class with most tests, and the accuracy of always answering it, in percent."""
        found = self.run.predictions.get(self.run.main)
        if not found:
            return None
        counts = Counter(p.label for p in found.values())
        label = min(counts, key=lambda name: (-counts[name], name))
        return label, 100 * counts[label] / len(found)

    @property
    def looked(self) -> bool:
        """Whether a stream saw pictures."""
        return any(stream.sees_pictures for stream in self.run.streams)

    @property
    def ends(self) -> tuple[list[ClassRow], list[ClassRow]]:
        """The best and the worst classes of the main stream."""
        tested = [row for row in self.classes if row.accuracy.get(self.run.main) is not None]
        ordered = sorted(tested, key=lambda row: (-(row.accuracy[self.run.main] or 0.0), row.label))
        few = min(_ENDS, (len(ordered) + 1) // 2)
        return ordered[:few], ordered[::-1][:few]

    @property
    def is_ucf101(self) -> bool:
        """Whether the published figures are of the same data."""
        return (self.run.config.get("data") or {}).get("kind") == "ucf101" and len(self.run.labels) == 101


def gather(run: Run, paths: Mapping[str, Path]) -> Content:
    """Work out a report.

    Args:
        run: the run.
        paths: clip name -> video, to draw from; those that are gone are said to be.
    """
    main, found = run.main, run.predictions
    differences = [
        (stream.words, compare_predictions(found[main], found[stream], run.groups))
        for stream in run.streams
        if stream != main and main in found and stream in found and found[main].keys() & found[stream].keys()
    ]
    rescue = _rescue(run, paths)
    shown = [stream for stream in (Stream.FUSION, Stream.MOTION, Stream.APPEARANCE) if stream in found]
    return Content(
        run=run,
        differences=differences,
        curves=curves_svg(run.training),
        matrices=[_matrix(stream, found[stream], run.labels) for stream in shown or list(found)[:1]],
        classes=_classes(run, rescue),
        rescue=rescue,
    )


def _rescue(run: Run, paths: Mapping[str, Path]) -> Rescue | None:
    found = run.predictions
    stream = next((s for s in (Stream.FUSION, Stream.MOTION) if s in found), None)
    if stream is None or Stream.APPEARANCE not in found:
        return None
    moving, still = found[stream], found[Stream.APPEARANCE]
    return Rescue(
        stream, stream.words, len(disagreements(moving, still)), len(disagreements(still, moving)),
        show(moving, still, paths, _PICTURES), show(still, moving, paths, _PICTURES),
    )  # fmt: skip


def _matrix(stream: Stream, predictions: Mapping[ClipKey, Prediction], labels: list[str]) -> Matrix:
    number = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), np.int64)
    for p in predictions.values():
        if p.label in number and p.predicted in number:
            counts[number[p.label], number[p.predicted]] += 1
    rows, columns = np.nonzero(counts)
    totals = counts.sum(axis=1)
    cells = [
        (int(r), int(c), int(counts[r, c]), float(counts[r, c] / totals[r]))
        for r, c in zip(rows, columns, strict=True)
    ]
    wrong = sorted(((n, r, c) for r, c, n, _ in cells if r != c), key=lambda t: (-t[0], t[1], t[2]))[:10]
    return Matrix(stream, stream.words, labels, cells, [(labels[r], labels[c], n) for n, r, c in wrong])


def _classes(run: Run, rescue: Rescue | None) -> list[ClassRow]:
    clips: dict[str, int] = {}
    for p in run.predictions.get(run.main, {}).values():
        clips[p.label] = clips.get(p.label, 0) + 1
    moved: dict[str, tuple[int, int]] = {}
    if rescue is not None:
        difference = compare_predictions(
            run.predictions[rescue.stream], run.predictions[Stream.APPEARANCE], lambda keys: None
        )
        moved = {c.label: (c.only_a, c.only_b) for c in difference.classes}
    accuracy: dict[str, Any] = {stream: scores.per_class for stream, scores in run.metrics.streams.items()}
    return [
        ClassRow(
            label, clips.get(label, 0), {s: by.get(label) for s, by in accuracy.items()}, *moved.get(label, (0, 0))
        )
        for label in run.labels
    ]  # fmt: skip
