"""Writing the results of a run: metrics, predictions, confusion matrices and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..datasets import Clip
from ..storage.files import write_json
from .confusion import save_confusion_csv, save_confusion_png
from .fold_result import FoldResult
from .metrics import Metrics, confusion_matrix
from .predictions import write_predictions
from .read import read_run
from .report import write_report
from .run_folder import RunFolder
from .tensorboard import write_events

__all__ = ["add_prediction_cost", "write_results"]


def write_results(run: RunFolder, metrics: Metrics, results: Sequence[FoldResult]) -> None:
    """Write the run folder's results; metrics.json last: where it stands, the run is complete.

    Predictions name the group of each clip that the split was cut by, and the fold that tested it.
    """
    for stream, scores in metrics.streams.items():
        tests = [(result.fold, result.tests[stream]) for result in results if stream in result.tests]
        write_predictions(run.predictions(stream), tests)
        confusion = np.sum([confusion_matrix(part.scores, part.targets) for _, part in tests], axis=0)
        labels = tests[0][1].labels
        save_confusion_csv(run.confusion(stream, ".csv"), confusion, labels)
        title = f"{stream}: {scores.top1:.1f} % top-1"
        save_confusion_png(run.confusion(stream, ".png"), confusion, labels, title)
    finished = read_run(run, metrics)
    write_report(finished, {c.name: c for r in results for tests in r.tests.values() for c in tests.clips})
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
