"""Writing the results of a run: metrics, predictions, confusion matrices and the report."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..datasets import Clip
from ..storage.files import write_json, write_text
from ..streams import Source, Stream
from .confusion import save_confusion_csv, save_confusion_png
from .metrics import Cost, Metrics, StreamScores, confusion_matrix, score_folds
from .read import read_run
from .report import write_report
from .run_folder import RunFolder
from .statistics import units_of
from .tensorboard import write_events

__all__ = [
    "FoldResult",
    "Tests",
    "add_prediction_cost",
    "join_scores",
    "sum_seconds",
    "with_encoder",
    "write_results",
]


class Tests(NamedTuple):
    """Clips that a stream was tested on, in their order, and its class probabilities, float32 [N, C]."""

    clips: Sequence[Clip]
    scores: npt.NDArray[np.float32]

    def truth(self, labels: Sequence[str]) -> npt.NDArray[np.int64]:
        """Numbers of the clips' classes, int64 [N]."""
        number = {label: i for i, label in enumerate(labels)}
        return np.array([number[clip.label] for clip in self.clips], np.int64)


@dataclass
class FoldResult:
    """Results of one fold.

    Attributes:
        fold: its name.
        tests: what each stream was tested on, and its scores.
        validation: the same of the validation clips, where they were read.
        refitted: streams whose weights were trained again, on training and validation clips.
        training: stage -> history of its training, in plain values.
        seconds: stage -> wall time.
        costs: of each stream.
        from_generated: whether the motion network started from generated motion.
        notes: what a reader should know.
    """

    fold: str
    tests: dict[Stream, Tests] = field(default_factory=dict)
    validation: dict[Stream, Tests] = field(default_factory=dict)
    refitted: set[Stream] = field(default_factory=set)
    training: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    costs: dict[Stream, Cost] = field(default_factory=dict)
    from_generated: bool = False
    notes: list[str] = field(default_factory=list)


def join_scores(results: Sequence[FoldResult], labels: Sequence[str]) -> dict[Stream, StreamScores]:
    """Scores of each stream over the tests of all folds."""
    joined = {}
    for stream in Stream:
        parts = [result.tests[stream] for result in results if stream in result.tests]
        if parts:
            clips = [clip for part in parts for clip in part.clips]
            units = units_of([clip.name for clip in clips], [clip.group for clip in clips])
            joined[stream] = score_folds([(p.scores, p.truth(labels)) for p in parts], labels, units)
    return joined


def sum_seconds(results: Sequence[FoldResult]) -> dict[str, float]:
    """Wall time of each stage over all folds."""
    stages = sorted({stage for result in results for stage in result.seconds})
    return {stage: sum(result.seconds.get(stage, 0.0) for result in results) for stage in stages}


def with_encoder(costs: Mapping[Stream, Cost], frame: Cost, frames: int) -> dict[Stream, Cost]:
    """Add the encoder to the streams that see pictures, and the motion network to the heads on its tokens.

    Args:
        costs: of the heads and the motion network.
        frame: of one frame in the encoder.
        frames: per clip.
    """
    total = dict(costs)
    for stream in filter(lambda stream: stream.sees_pictures, costs):
        repeats = 1 if stream is Stream.APPEARANCE_FRAME else frames
        total[stream] = costs[stream].plus_frozen(frame, repeats)
    if Stream.MOTION in costs:
        for stream in filter(lambda stream: Source.MOTION_NETWORK in stream.sources, costs):
            total[stream] = total[stream].plus(costs[Stream.MOTION])
    return total


def write_results(run: RunFolder, metrics: Metrics, results: Sequence[FoldResult]) -> None:
    """Write the run folder's results; metrics.json last: where it stands, the run is complete.

    Predictions name the group of each clip that the split was cut by, and the fold that tested it.
    """
    labels = metrics.labels
    for stream, scores in metrics.streams.items():
        parts = [(result.fold, result.tests[stream]) for result in results if stream in result.tests]
        tests = Tests(
            [clip for _, part in parts for clip in part.clips],
            np.concatenate([part.scores for _, part in parts]),
        )
        confusion = confusion_matrix(tests.scores, tests.truth(labels))
        save_confusion_csv(run.confusion(stream, ".csv"), confusion, labels)
        title = f"{stream}: {scores.top1:.1f} % top-1"
        save_confusion_png(run.confusion(stream, ".png"), confusion, labels, title)
        folds = [fold for fold, part in parts for _ in part.clips]
        _write_predictions(run.predictions(stream), tests, folds, labels)
    finished = read_run(run, metrics)
    clips = {clip.name: clip for r in results for tests in r.tests.values() for clip in tests.clips}
    write_report(finished, clips)
    write_events(finished)
    write_json(run.metrics, metrics.to_json())


def add_prediction_cost(run: RunFolder, metrics: Metrics, clips: Mapping[str, Clip]) -> None:
    """Write the results of a finished run again, with what a prediction costs.

    Args:
        run: its folder, which the caller holds.
        metrics: with the cost.
        clips: clip name -> clip, for the report's pictures.
    """
    write_report(read_run(run, metrics), clips)
    write_json(run.metrics, metrics.to_json())


def _write_predictions(path: Path, tests: Tests, folds: Sequence[str], labels: Sequence[str]) -> None:
    """A row per test: the clip, its label and prediction, its group ("" where it has none) and the fold."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip", "label", "predicted", "score", "group", "fold"])
    for clip, scores, fold in zip(tests.clips, tests.scores, folds, strict=True):
        best = int(scores.argmax())
        writer.writerow([clip.name, clip.label, labels[best], f"{scores[best]:.4f}", clip.group or "", fold])
    write_text(path, text.getvalue())
