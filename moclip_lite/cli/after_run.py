"""Steps after a training: export of ONNX files for prediction, measurement of what a prediction costs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .console import explain

if TYPE_CHECKING:
    from ..experiment.session import Session
    from ..results.metrics import Metrics

__all__ = ["measure_run", "write_engine"]


def write_engine(session: Session) -> None:
    """Write the ONNX files of a run that was trained here, or that has none or a part of them.

    Its image encoder in int8 is compared with float32 where that is still to be done.
    What hinders either is a warning.

    Of several folds none is written, because `moclip predict` is given one of them: see
    `moclip export --engine`.
    """
    from ..engine.files import drafts_of, int8_is_undecided, is_exported
    from ..errors import MoclipError
    from ..parallel.ranks import share

    run, folder = session.experiment.run, session.run_folder
    if not (run.onnx and share().leads):
        return
    if session.feature_file is not None or len(session.folds) != 1 or set(run.streams) == {"zero_shot"}:
        return
    if session.trained or drafts_of(folder) or not is_exported(folder):
        from ..export.engine import export_engine

        session.reporter.say("writing ONNX files of the networks, for a quick start of `moclip predict`")
        try:
            export_engine(folder.path, session.reporter)
        except (MoclipError, OSError) as error:
            session.reporter.warn(f"no ONNX files: {explain(error)}; `moclip predict` answers with PyTorch")
            return
    try:
        if int8_is_undecided(folder):
            from ..export.int8 import consider_int8

            consider_int8(folder.path, session.reporter)
    except (MoclipError, OSError) as error:
        session.reporter.warn(f"the image encoder stays in float32: {explain(error)}")


def measure_run(session: Session, metrics: Metrics) -> Metrics:
    """Add what a prediction costs to the results of a run that do not say it.

    Of several folds the first is measured.

    Returns:
        The metrics, with the cost where it could be measured.
    """
    from mv_tools import MotionError

    from ..errors import MoclipError
    from ..parallel.ranks import share

    run, folds = session.experiment.run, session.folds
    if not share().leads or session.feature_file is not None:
        return metrics
    if metrics.prediction is not None or set(run.streams) == {"zero_shot"}:
        return metrics
    from ..predict.classifier import Classifier
    from ..predict.measure import measure_prediction
    from ..results.write import add_prediction_cost

    clips = {clip.name: clip for fold in folds for clip in fold.test}
    paths = [clip.path for clip in folds[0].test if clip.segment is None]  # a segment's file is longer
    try:
        folder = session.run_folder.fold(folds[0].name).path
        cost = measure_prediction(Classifier.load(folder, device=run.device), paths)
        if cost is None:
            return metrics
        metrics = replace(metrics, prediction=cost)
        with session.run_folder.locked():
            add_prediction_cost(session.run_folder, metrics, clips)
    except (MoclipError, MotionError, OSError) as error:
        session.reporter.warn(f"what a prediction costs could not be measured: {explain(error)}")
    return metrics
