"""Metrics of a run: scores with intervals, costs and times; to and from metrics.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from ..errors import CheckpointError, ScoreError
from ..storage.files import read_json
from ..streams import Stream
from .prediction_cost import PredictionCost
from .statistics import Units, accuracy_interval, macro_interval

__all__ = [
    "Cost",
    "FoldScores",
    "Metrics",
    "StreamScores",
    "confusion_matrix",
    "plain",
    "score",
    "score_folds",
]

Scores = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FoldScores:
    """Percentages of one fold of several, its number of tests, and its name."""

    top1: float
    top5: float
    macro: float
    n: int
    fold: str = ""


@dataclass(frozen=True)
class StreamScores:
    """Scores of one stream, in percent.

    Attributes:
        top1: accuracy.
        top5: the label is among the first five; among all classes where there are fewer.
        macro: mean over the classes that were tested.
        ci95, macro_ci95: intervals of top1 and macro.
        ci95_over: the kind of interval and what it is over.
        majority: accuracy of always answering the class with most tests.
        n: tests.
        per_class: class name -> accuracy, None if not tested.
        folds_top1: accuracy of each fold, of several.
        per_fold: the other scores of each fold too.
    """

    top1: float
    top5: float
    macro: float
    n: int
    per_class: Mapping[str, float | None]
    ci95: tuple[float, float]
    macro_ci95: tuple[float, float] | None = None
    ci95_over: str | None = None
    majority: float | None = None
    folds_top1: tuple[float, ...] = ()
    per_fold: tuple[FoldScores, ...] = ()


@dataclass(frozen=True)
class Cost:
    """What a stream costs for one clip; None is unknown.

    Attributes:
        parameters, trainable: numbers of weights.
        gflops: operations, a multiplication and an addition count as two.
        latency_ms: the least of a few passes on this machine.
    """

    parameters: int
    trainable: int
    gflops: float | None = None
    latency_ms: float | None = None

    def plus(self, other: Cost) -> Cost:
        """This and another network."""
        return Cost(
            self.parameters + other.parameters,
            self.trainable + other.trainable,
            _add(self.gflops, other.gflops),
            _add(self.latency_ms, other.latency_ms),
        )

    def plus_frozen(self, other: Cost, passes: int) -> Cost:
        """This and so many passes of a network that is not trained."""
        return Cost(
            self.parameters + other.parameters,
            self.trainable,
            _add(self.gflops, other.gflops, passes),
            _add(self.latency_ms, other.latency_ms, passes),
        )


def _add(one: float | None, other: float | None, times: int = 1) -> float | None:
    return None if one is None or other is None else one + times * other


@dataclass(frozen=True)
class Metrics:
    """The content of metrics.json.

    Attributes:
        streams: scores of each stream that was tested.
        costs: of each stream, where known.
        counted: what costs count of a clip, "views" of its motion and "frames"; empty in older runs.
        seconds: stage -> wall time.
        labels: class names.
        folds: names of the folds.
        clips: part of the division -> number of clips, over all folds.
        appearance_weights: where appearance features come from, for people.
        notes: what a reader should know.
        choices: how the models were chosen, in sentences.
        failures: clips left out: name, stage, reason.
        part: the part that was tested, where it is not the run itself.
        prediction: what the prediction of a clip costs.
        fingerprint: digest of all that decides the run, as it was asked for.
        resolved_fingerprint: the same for the configuration in the run folder,
            which holds what the run has chosen.
        files: what it consists of (:func:`moclip_lite.results.run_files.files_of_run`); empty in older runs.
    """

    streams: Mapping[Stream, StreamScores]
    costs: Mapping[str, Cost] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    folds: tuple[str, ...] = ()
    clips: Mapping[str, int] = field(default_factory=dict)
    appearance_weights: str | None = None
    notes: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    failures: tuple[Mapping[str, str], ...] = ()
    part: str | None = None
    prediction: PredictionCost | None = None
    fingerprint: str | None = None
    resolved_fingerprint: str | None = None
    counted: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The content of metrics.json; a stream's scores stand under its name."""
        values = asdict(self) | {str(stream): plain(scores) for stream, scores in self.streams.items()}
        values["costs"] = {str(stream): plain(cost) for stream, cost in self.costs.items()}
        left_out = {"streams", *(("part",) if self.part is None else _OF_A_RUN)}
        return {name: value for name, value in values.items() if name not in left_out}

    @classmethod
    def read(cls, path: Path) -> Metrics:
        """Read a metrics.json.

        Raises:
            CheckpointError: missing or damaged.
        """
        try:
            return cls.from_json(read_json(path))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            reason = f"{place}: {first['msg']}" if place else first["msg"]
        except ValueError as error:
            reason = str(error)
        raise CheckpointError(f"{path} is damaged or not of a run of this program: {reason}")

    @classmethod
    def from_json(cls, values: Any) -> Metrics:
        """Read :meth:`to_json`.

        Raises:
            ValueError: not its values.
        """
        if not isinstance(values, dict):
            raise ValueError("not an object")
        streams = {stream: values[stream] for stream in Stream if stream in values}
        return TypeAdapter(cls).validate_python({**values, "streams": streams})


_OF_A_RUN: Final = (
    "labels",
    "folds",
    "clips",
    "appearance_weights",
    "notes",
    "choices",
    "prediction",
    "fingerprint",
    "resolved_fingerprint",
    "counted",
    "files",
)
"""Fields that a test of another part does not have."""


def plain(part: StreamScores | Cost) -> dict[str, Any]:
    """The fields that are known, as metrics.json holds them."""
    return {name: value for name, value in asdict(part).items() if value is not None and value != ()}


def confusion_matrix(scores: Scores, labels: Labels) -> npt.NDArray[np.int64]:
    """int64 [C, C]: rows are true classes, columns predicted ones."""
    classes = scores.shape[1]
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, scores.argmax(axis=1)), 1)
    return matrix


def score(scores: Scores, labels: Labels, names: Sequence[str], units: Units | None = None) -> StreamScores:
    """Evaluate.

    Args:
        scores: [N, C], higher is likelier; of equal scores the first class counts.
        labels: [N].
        names: class names, [C].
        units: tests that are right or wrong together; every test for itself by default.

    Raises:
        ScoreError: nothing was tested, or a score is not finite.
    """
    if not len(labels):
        raise ScoreError("no test clip could be evaluated")
    if not np.isfinite(scores).all():
        raise ScoreError("a score is not a finite number; the training has diverged, try a lower lr")
    if units is None:
        units = Units([str(i) for i in range(len(labels))], "clips")
    right = scores.argmax(axis=1) == labels
    counts = np.bincount(labels, minlength=len(names))
    hits = np.bincount(labels[right], minlength=len(names))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    top1, macro = accuracy_interval(right, units), macro_interval(right, labels, units)
    return StreamScores(
        top1=top1.value,
        top5=100 * float((order == labels[:, None]).any(axis=1).mean()),
        macro=macro.value,
        n=len(labels),
        per_class={
            name: 100 * float(hits[i] / counts[i]) if counts[i] else None for i, name in enumerate(names)
        },
        ci95=(top1.low, top1.high),
        macro_ci95=(macro.low, macro.high),
        ci95_over=units.words,
        majority=100 * float(counts.max() / len(labels)),
    )


def score_folds(
    folds: Sequence[tuple[Scores, Labels]],
    names: Sequence[str],
    units: Units | None = None,
    fold_names: Sequence[str] = (),
) -> StreamScores:
    """Evaluate the tests of several folds as one table: every test counts alike, whatever its fold's size.

    Args:
        folds: scores and labels of each fold.
        names: class names.
        units: of the tests of all folds, in their order.
        fold_names: of the folds, in their order; a stream may be absent in some folds of a run.

    Returns:
        As :func:`score`; of several folds the scores of each as well, in the order given.
    """
    scores = np.concatenate([part for part, _ in folds])
    labels = np.concatenate([part for _, part in folds])
    joined = score(scores, labels, names, units)
    if len(folds) == 1:
        return joined
    by_fold = [score(part, truth, names) for part, truth in folds]
    rows = tuple(
        FoldScores(row.top1, row.top5, row.macro, row.n, fold)
        for row, fold in zip(by_fold, fold_names or [""] * len(folds), strict=True)
    )
    return replace(joined, folds_top1=tuple(row.top1 for row in rows), per_fold=rows)
