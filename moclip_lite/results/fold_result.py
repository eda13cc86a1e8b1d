"""Results of one fold: what each stream was tested on and its scores; their join over the folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..datasets import Clip
from ..datasets.clip import class_numbers
from ..streams import Stream
from .metrics import Cost, StreamScores, score_folds
from .statistics import units_of

if TYPE_CHECKING:
    from ..training.loop import FitResult

__all__ = ["FoldResult", "Tests", "join_scores", "sum_seconds"]


class Tests(NamedTuple):
    """Clips that a stream was tested on, and its scores.

    Attributes:
        clips: in their order.
        labels: class names in the order of their numbers.
        scores: class probabilities, float32 [N, C].
    """

    clips: Sequence[Clip]
    labels: Sequence[str]
    scores: npt.NDArray[np.float32]

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """Numbers of the clips' classes, int64 [N]."""
        return class_numbers(self.clips, self.labels)


@dataclass
class FoldResult:
    """Results of one fold.

    Attributes:
        fold: its name.
        tests: what each stream was tested on, and its scores.
        validation: the same of the validation clips, where they were read.
        one_frame: class probabilities of the validation clips by the fusion with the middle frame alone, by
            weights that were not fitted to them, float32 [N, C]; None where there is one frame only.
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
    one_frame: npt.NDArray[np.float32] | None = None
    refitted: set[Stream] = field(default_factory=set)
    training: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    costs: dict[Stream, Cost] = field(default_factory=dict)
    from_generated: bool = False
    notes: list[str] = field(default_factory=list)

    def record(self, name: str, fit: FitResult) -> None:
        """Keep history and wall time of a training."""
        left_out = ("val_scores", "val_one_frame")
        self.training[name] = {key: value for key, value in vars(fit).items() if key not in left_out}
        self.seconds[f"train_{name}"] = fit.seconds


def join_scores(results: Sequence[FoldResult]) -> dict[Stream, StreamScores]:
    """Scores of each stream over the tests of all folds."""
    joined = {}
    for stream in Stream:
        tested = [result for result in results if stream in result.tests]
        parts = [result.tests[stream] for result in tested]
        if parts:
            clips = [clip for part in parts for clip in part.clips]
            units = units_of([clip.name for clip in clips], [clip.group for clip in clips])
            scored = [(part.scores, part.targets) for part in parts]
            names = [result.fold for result in tested]
            joined[stream] = score_folds(scored, parts[0].labels, units, names)
    return joined


def sum_seconds(results: Sequence[FoldResult]) -> dict[str, float]:
    """Wall time of each stage over all folds."""
    stages = sorted({stage for result in results for stage in result.seconds})
    return {stage: sum(result.seconds.get(stage, 0.0) for result in results) for stage in stages}
