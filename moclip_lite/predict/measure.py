"""CPU time of the stages of a prediction, measured on some clips."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from ..datasets.clip_errors import CLIP_ERRORS
from ..results.cascade import read_cascade
from ..results.prediction_cost import PredictionCost
from ..streams import Source
from .classifier import Classifier
from .read_file import FileReader

__all__ = ["measure_prediction"]

_PASSES: Final = 2
_Value = TypeVar("_Value")


class _Clock:
    """CPU time of this process by stage, in milliseconds."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}

    def run(self, stage: str, work: Callable[[], _Value]) -> _Value:
        """Do something and count its time."""
        started = time.process_time()
        value = work()
        self.ms[stage] = self.ms.get(stage, 0.0) + 1000 * (time.process_time() - started)
        return value


def measure_prediction(
    classifier: Classifier, paths: Sequence[Path], clips: int = 3
) -> PredictionCost | None:
    """Measure the stages one after another, as ``predict`` runs them.

    Args:
        classifier: of a run.
        paths: its files; the first ones that can be read are measured.
        clips: how many.

    Returns:
        The cost; None if no file can be read.
    """
    rows: list[dict[str, float]] = []
    for path in paths:
        if len(rows) == clips:
            break
        try:
            # The first pass loads networks.
            passes = [_stages(classifier, path) for _ in range(_PASSES + (not rows))]
        except CLIP_ERRORS:
            continue
        rows.append({stage: min(one.get(stage, 0.0) for one in passes) for stage in passes[-1]})
    if not rows:
        return None
    stages = list(dict.fromkeys(stage for row in rows for stage in row))
    cascade, costs = read_cascade(classifier.folder.cascade), classifier.costs
    frames = classifier.experiment.clip.frames if "image encoder" in stages else 0
    gflops = {
        "motion network": costs.motion,
        "image encoder": None if costs.frame is None else frames * costs.frame,
    }
    return PredictionCost(
        classifier.engine.name,
        len(rows),
        {stage: float(np.mean([row.get(stage, 0.0) for row in rows])) for stage in stages},
        {name: value for name, value in gflops.items() if value and name in stages},
        None if cascade is None else 1 - cascade.by_motion,
        classifier.engine.why,
    )


def _stages(classifier: Classifier, path: Path) -> dict[str, float]:
    """CPU time of each stage of a prediction."""
    clock, experiment = _Clock(), classifier.experiment
    spec = experiment.motion if classifier.motion is not None else None
    own = classifier.own_features(path)
    pictures = experiment.clip if classifier.heads and own is None else None
    reader = clock.run("reading motion", lambda: FileReader(path, spec, pictures, spec=experiment.motion))
    reading = clock.run("reading motion", reader.motion)
    tokens, appearance, facts = None, own, None
    motion = reading.motion
    if motion is not None and not motion.empty:
        tokens = clock.run("motion network", lambda: classifier.engine.motion_features(motion.motion))[0]
    frames = clock.run("reading pictures", reader.frames) if pictures is not None else None
    if frames is not None:
        appearance = clock.run("image encoder", lambda: classifier.appearance_features(frames.pictures))
        facts = frames.facts
    if appearance is not None:
        features = appearance
        heads = [s for s in classifier.heads if tokens is not None or Source.MOTION_NETWORK not in s.sources]
        clock.run("heads", lambda: [classifier.head_scores(s, tokens, features, facts) for s in heads])
    return clock.ms
