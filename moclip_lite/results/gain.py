"""What fusion gains over its best single stream, over all tests and fold by fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from ..streams import Stream
from .paired import Difference, compare_predictions
from .predictions import ClipKey, Prediction
from .read import Run
from .statistics import McNemar, mcnemar

__all__ = ["FusionGain", "fusion_gain"]

_SINGLE: Final = (Stream.MOTION, Stream.MOTION_HEAD, Stream.APPEARANCE, Stream.APPEARANCE_FRAME)
_LEVEL: Final = 0.05

_Predictions: TypeAlias = Mapping[ClipKey, Prediction]


@dataclass(frozen=True)
class FusionGain:
    """Fusion against the single stream that was right most often on the same tests.

    That stream is chosen on the tests, which favours it.

    Attributes:
        stream: the single stream.
        difference: fusion minus that stream.
        folds: number of folds (of each seed) with both.
        below: of these, folds in which fusion is less often right.
        significantly: of these, folds in which McNemar's test says so (p < 0.05).
    """

    stream: Stream
    difference: Difference
    folds: int
    below: int
    significantly: int

    def sentence(self) -> str:
        """For people."""
        d = self.difference
        p = "p < 0.0001" if d.p < 1e-4 else f"p {d.p:.4f}"
        text = (
            f"Fusion against its best single stream ({self.stream.words}): {d.points.value:+.1f} points "
            f"({d.points.low:+.1f} to {d.points.high:+.1f}, {p}: {d.verdict})"
        )
        if self.folds > 1:
            text += (
                f"; below it in {self.below} of {self.folds} folds, "
                f"significantly (McNemar, p < {_LEVEL}) in {self.significantly}"
            )
        return text + "."


def fusion_gain(run: Run) -> FusionGain | None:
    """Compare a run's fusion with its best single stream; None without both."""
    fusion = run.predictions.get(Stream.FUSION)
    single = [s for s in _SINGLE if fusion and fusion.keys() & run.predictions.get(s, {}).keys()]
    if not fusion or not single:
        return None
    best = max(single, key=_accuracies(fusion, {s: run.predictions[s] for s in single}).__getitem__)
    other = run.predictions[best]
    folds = [
        _fold(fusion, other, name) for name in sorted({key.fold for key in fusion.keys() & other.keys()})
    ]
    below = [test for test in folds if test.only_a < test.only_b]
    return FusionGain(
        best,
        compare_predictions(fusion, other, run.groups),
        len(folds),
        len(below),
        sum(test.p < _LEVEL for test in below),
    )


def _accuracies(fusion: _Predictions, single: Mapping[Stream, _Predictions]) -> dict[Stream, float]:
    """How often each stream is right on the tests that it, fusion and all the others have.

    Where there are none, on those that it and fusion have.
    """
    common = set(fusion).intersection(*single.values())
    tests = {stream: common or fusion.keys() & rows.keys() for stream, rows in single.items()}
    return {
        stream: sum(rows[key].correct for key in tests[stream]) / len(tests[stream])
        for stream, rows in single.items()
    }


def _fold(a: _Predictions, b: _Predictions, fold: str) -> McNemar:
    keys = [key for key in a.keys() & b.keys() if key.fold == fold]
    return mcnemar(
        np.array([a[key].correct for key in keys], np.float64),
        np.array([b[key].correct for key in keys], np.float64),
    )
