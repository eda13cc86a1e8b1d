"""What a run's report contains, computed from its metrics, predictions and training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ...datasets import Clip
from ...datasets.synthetic.clips import accuracy_ceilings
from ...streams import Stream
from ..gain import FusionGain, fusion_gain
from ..paired import Difference, compare_predictions
from ..predictions import ClipKey, Prediction
from ..read import Run
from .charts import curves_svg
from .pictures import ClipPicture, disagreements, select_pictures

__all__ = ["ClassRow", "Content", "Matrix", "MotionEffect", "gather"]

_PICTURES: Final = 4
_CONFUSIONS: Final = 10  # most frequent confusions that are listed


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix: its cells that are not empty, and the most frequent confusions.

    Attributes:
        stream, words: key and name of the stream.
        names: class names.
        cells: (row, column, clips, share of the row).
        confusions: (true class, predicted class, clips), most frequent first.
    """

    stream: str
    words: str
    names: list[str]
    cells: list[tuple[int, int, int, float]]
    confusions: list[tuple[str, str, int]]


@dataclass(frozen=True)
class ClassRow:
    """A class: tested clips, accuracy by stream in percent, clips gained and lost by motion."""

    label: str
    clips: int
    accuracy: dict[str, float | None]
    gained: int
    lost: int


@dataclass(frozen=True)
class MotionEffect:
    """What motion changes: a stream with motion against appearance alone.

    Attributes:
        stream, words: "fusion" or "motion", and its name.
        gained, lost: number of clips that only this stream, and only appearance, classified correctly.
        gained_clips, lost_clips: some of them, drawn.
    """

    stream: Stream
    words: str
    gained: int
    lost: int
    gained_clips: list[ClipPicture]
    lost_clips: list[ClipPicture]


@dataclass(frozen=True)
class Content:
    """Everything that a run's report shows."""

    run: Run
    differences: list[tuple[str, Difference]]
    gain: FusionGain | None
    curves: str | None
    matrices: list[Matrix]
    classes: list[ClassRow]
    effect: MotionEffect | None

    @property
    def majority(self) -> tuple[str, float] | None:
        """The class with most test clips, and the accuracy of always predicting it, in percent."""
        predictions = self.run.predictions.get(self.run.main)
        if not predictions:
            return None
        counts = Counter(p.label for p in predictions.values())
        label = min(counts, key=lambda name: (-counts[name], name))
        return label, 100 * counts[label] / len(predictions)

    @property
    def ceilings(self) -> dict[str, float]:
        """Stream -> highest accuracy that its input allows, where the data set determines it."""
        if self.data.get("kind") != "synthetic":
            return {}
        return accuracy_ceilings(self.run.labels)

    @property
    def data(self) -> dict[str, Any]:
        """The configuration's section on the data set."""
        return self.run.config.get("data") or {}


def gather(run: Run, clips: Mapping[str, Clip]) -> Content:
    """Compute a report's content.

    Args:
        run: the run.
        clips: clip name -> clip, for the pictures; a missing one is stated in its place.
    """
    main, predictions = run.main, run.predictions
    differences = [
        (stream.words, compare_predictions(predictions[main], predictions[stream], run.groups))
        for stream in run.streams
        if stream != main and predictions.get(main, {}).keys() & predictions.get(stream, {}).keys()
    ]
    effect = _motion_effect(run, clips)
    shown = [s for s in (Stream.FUSION, Stream.MOTION, Stream.APPEARANCE) if s in predictions] or list(
        predictions
    )[:1]
    return Content(
        run=run,
        differences=differences,
        gain=fusion_gain(run),
        curves=curves_svg(run.training),
        matrices=[_matrix(stream, predictions[stream], run.labels) for stream in shown],
        classes=_classes(run, effect),
        effect=effect,
    )


def _motion_effect(run: Run, clips: Mapping[str, Clip]) -> MotionEffect | None:
    stream = next((s for s in (Stream.FUSION, Stream.MOTION) if s in run.predictions), None)
    if stream is None or Stream.APPEARANCE not in run.predictions:
        return None
    moving, still = run.predictions[stream], run.predictions[Stream.APPEARANCE]
    return MotionEffect(
        stream=stream,
        words=stream.words,
        gained=len(disagreements(moving, still)),
        lost=len(disagreements(still, moving)),
        gained_clips=select_pictures(moving, still, clips, _PICTURES),
        lost_clips=select_pictures(still, moving, clips, _PICTURES),
    )


def _matrix(stream: Stream, predictions: Mapping[ClipKey, Prediction], labels: list[str]) -> Matrix:
    number = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), np.int64)
    for p in predictions.values():
        if p.label in number and p.predicted in number:
            counts[number[p.label], number[p.predicted]] += 1
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cells = [
        (int(row), int(column), int(counts[row, column]), float(shares[row, column]))
        for row, column in zip(*np.nonzero(counts), strict=True)
    ]
    wrong = sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: (-cell[2], *cell[:2]))
    confusions = [(labels[row], labels[column], clips) for row, column, clips, _ in wrong[:_CONFUSIONS]]
    return Matrix(stream, stream.words, labels, cells, confusions)


def _classes(run: Run, effect: MotionEffect | None) -> list[ClassRow]:
    clips = Counter(p.label for p in run.predictions.get(run.main, {}).values())
    gained: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    if effect is not None:
        moving, still = run.predictions[effect.stream], run.predictions[Stream.APPEARANCE]
        gained.update(moving[key].label for key in disagreements(moving, still))
        lost.update(moving[key].label for key in disagreements(still, moving))
    accuracy: dict[str, Any] = {stream: scores.per_class for stream, scores in run.metrics.streams.items()}
    return [
        ClassRow(
            label, clips[label], {s: by.get(label) for s, by in accuracy.items()}, gained[label], lost[label]
        )
        for label in run.labels
    ]
