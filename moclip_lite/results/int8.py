"""The image encoder in int8 against the one in float32, on clips of a run: this decides which answers.

Both encoders are followed by the run's head. Where that head was trained on the validation clips too (refit),
its probabilities for them are surer than for unseen clips and would hide changes. So what int8 changes in the
logarithms of the probabilities is added to those of the scores that the head's first training, which left
these clips out, gave them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["LEAST_COSINE", "MIN_CLIPS", "Int8Comparison", "shifted", "too_few"]

MIN_CLIPS: Final = 30
"""Fewer validation clips don't show that labels stay: with 30 and no change, 1 in 10 is excluded at 95 %."""
LEAST_COSINE: Final = 0.99
_CLIPS_FOR_A_CHANGE: Final = 50  # of so many, one label may change if int8 is right at least as often
_MOST_TIME: Final = 0.8  # of float32's
_TINY: Final = 1e-12

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Int8Comparison:
    """Figures of the comparison, as model.json holds them.

    Attributes:
        clips: number of clips that were compared.
        held_out: whether they are validation clips, with scores by heads that were not fitted to them.
        changed: how many labels differ.
        right, right_int8: percent answered right in float32 and in int8.
        difference, mean_difference: largest and mean difference of a probability of the head that answers; of
            each clip the largest counts.
        least_cosine: of the features of a frame.
        cpu_ms, cpu_ms_int8: median CPU time of the encoder for a clip's frames, in milliseconds.
    """

    clips: int
    held_out: bool
    changed: int
    right: float
    right_int8: float
    difference: float
    mean_difference: float
    least_cosine: float
    cpu_ms: float
    cpu_ms_int8: float

    @property
    def problem(self) -> str | None:
        """Why int8 is not to be used at all; None where nothing speaks against it.

        Features stay (cosine at least LEAST_COSINE), of each 50 clips at most one label changes, and int8 is
        right at least as often as float32.
        """
        if self.changed > self.clips // _CLIPS_FOR_A_CHANGE or self.right_int8 < self.right:
            return (
                f"int8 changes the label of {self.changed} of {self.clips} clips "
                f"({self.right:.1f} % are right in float32, {self.right_int8:.1f} % in int8; "
                f"least cosine of a feature {self.least_cosine:.4f})"
            )
        if not self.least_cosine >= LEAST_COSINE:
            return (
                f"int8 changes features (least cosine {self.least_cosine:.4f}, {LEAST_COSINE} is asked for)"
            )
        return None

    @property
    def default_problem(self) -> str | None:
        """Why int8 does not answer by default; None where it does."""
        if self.problem:
            return self.problem
        if not self.held_out or self.clips < MIN_CLIPS:
            return too_few(self.clips if self.held_out else 0)
        if self.cpu_ms_int8 > _MOST_TIME * self.cpu_ms:
            return (
                f"int8 was not faster on the machine that compared it ({self.cpu_ms_int8:.0f} ms a clip, "
                f"float32 {self.cpu_ms:.0f})"
            )
        return None

    @property
    def words(self) -> str:
        """The figures, for people."""
        which = "validation clips" if self.held_out else "clips of the run"
        labels = "all labels" if not self.changed else f"all labels but {self.changed}"
        return (
            f"on {self.clips} {which} {labels} are those of float32 "
            f"({self.right:.1f} % right, {self.right_int8:.1f} % in int8; "
            f"a probability differs by {self.mean_difference:.4f} in the mean, {self.difference:.3f} "
            f"at most), in {self.cpu_ms_int8:.0f} ms of CPU in place of {self.cpu_ms:.0f}"
        )

    @classmethod
    def of(cls, values: Any) -> Int8Comparison:
        """Figures from a file.

        Raises:
            ValueError: they are missing or out of range.
        """
        if not isinstance(values, Mapping):
            raise ValueError("no figures")
        numbers: dict[str, Any] = {}
        for entry in fields(cls):
            value = values.get(entry.name)
            wanted = bool if entry.name == "held_out" else (int, float)
            if not isinstance(value, wanted) or isinstance(value, bool) != (entry.name == "held_out"):
                raise ValueError(f"{entry.name} is not a number")
            numbers[entry.name] = value
        found = cls(**numbers)
        shares = (found.right / 100, found.right_int8 / 100, found.difference, found.mean_difference)
        counts = isinstance(found.clips, int) and isinstance(found.changed, int)
        if not counts or not 0 <= found.changed <= found.clips or found.clips < 1:
            raise ValueError("a count is out of range")
        if not all(0 <= share <= 1 for share in shares) or not -1.001 <= found.least_cosine <= 1.001:
            raise ValueError("a figure is out of range")
        if not all(0 <= ms < 1e9 for ms in (found.cpu_ms, found.cpu_ms_int8)):
            raise ValueError("a time is out of range")
        return found


def too_few(clips: int) -> str:
    """Why few validation clips don't decide."""
    return (
        f"{clips} validation clips don't show whether int8 keeps the labels, {MIN_CLIPS} are needed"
        if clips
        else f"no validation clips show whether int8 keeps the labels, {MIN_CLIPS} are needed"
    )


def shifted(held_out: Scores, before: Scores, after: Scores) -> Scores:
    """Held-out class probabilities [..., C], moved by what changes from `before` to `after`."""
    logs = [np.log(np.maximum(scores.astype(np.float64), _TINY)) for scores in (held_out, before, after)]
    moved = logs[0] + logs[2] - logs[1]
    raised = np.exp(moved - moved.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float32)
