"""Thresholds of the cascade, from validation clips: when motion alone, or one frame, is confident enough.

Most clips that motion alone answers with confidence need no picture. Clips are sorted by that confidence; the
threshold is the lowest above which the cheap answer is right at least as often as the full one, for every
higher threshold too. So accuracy on the validation clips is not below that of the full answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import CheckpointError
from ..storage.files import read_json, write_json
from .fitted_for import FittedFor, noted_weights, refuse_other_weights

__all__ = ["MIN_CLIPS", "NEVER", "Cascade", "fit_cascade", "read_cascade"]

MIN_CLIPS: Final = 15
"""Fewer validation clips determine no threshold."""

NEVER: Final = 2.0
"""A threshold that no probability reaches."""

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Cascade:
    """What a run folder's cascade.json holds.

    Attributes:
        motion: probability from which on the motion network's answer stands, and no picture is read.
        one_frame: probability from which on the fusion's answer with the middle frame alone stands.
        clips: validation clips that the thresholds come from; none of the models was trained on them.
        full, cascaded: percent of them answered right by the fusion on all frames, and by the cascade.
        by_motion, by_one_frame: share of them that ends there.
        weights: that the thresholds were fitted for.
    """

    motion: float
    one_frame: float
    clips: int
    full: float
    cascaded: float
    by_motion: float
    by_one_frame: float
    weights: FittedFor = field(default_factory=dict)

    @property
    def words(self) -> str:
        """For people."""
        return (
            f"cascade: motion alone answers from {self.motion:.2f} on, "
            f"one frame from {self.one_frame:.2f} on ({NEVER:.0f} is never); "
            f"on {self.clips} validation clips {self.cascaded:.1f} % right, {self.full:.1f} % "
            f"with all frames, and {100 * (1 - self.by_motion):.0f} % of the clips needed pictures"
        )

    def write(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))


def fit_cascade(
    motion: Scores, one_frame: Scores | None, full: Scores, targets: npt.NDArray[np.int64]
) -> Cascade | None:
    """Choose the thresholds.

    Args:
        motion: class probabilities [N, C] of the motion network for clips that it was not trained on.
        one_frame: of the fusion with one frame; None where that is not possible.
        full: of the fusion with all frames.
        targets: the classes, [N].

    Returns:
        The thresholds; None for fewer than MIN_CLIPS clips.
    """
    if len(targets) < MIN_CLIPS:
        return None
    right = full.argmax(axis=1) == targets
    threshold = _threshold(motion, right, targets)
    by_motion = motion.max(axis=1) >= threshold
    later, by_one_frame = NEVER, np.zeros(len(targets), bool)
    if one_frame is not None and not by_motion.all():
        rest = ~by_motion
        later = _threshold(one_frame[rest], right[rest], targets[rest])
        by_one_frame = rest & (one_frame.max(axis=1) >= later)
    answers = full.argmax(axis=1)
    answers[by_motion] = motion.argmax(axis=1)[by_motion]
    if one_frame is not None:
        answers[by_one_frame] = one_frame.argmax(axis=1)[by_one_frame]
    return Cascade(
        threshold,
        later,
        len(targets),
        100 * float(right.mean()),
        100 * float((answers == targets).mean()),
        float(by_motion.mean()),
        float(by_one_frame.mean()),
    )


def _threshold(cheap: Scores, right: npt.NDArray[np.bool_], targets: npt.NDArray[np.int64]) -> float:
    """The lowest threshold above which `cheap` is as often right as the full answer, as for all higher."""
    sure = cheap.max(axis=1)
    order = np.argsort(-sure, kind="stable")
    gained = (cheap.argmax(axis=1) == targets).astype(int) - right.astype(int)
    lost = np.nonzero(np.cumsum(gained[order]) < 0)[0]
    taken = int(lost[0]) if len(lost) else len(order)
    # Equal confidences stand or fall together.
    while 0 < taken < len(order) and sure[order[taken - 1]] == sure[order[taken]]:
        taken -= 1
    return float(sure[order[taken - 1]]) if taken else NEVER


def read_cascade(path: Path) -> Cascade | None:
    """Read what :meth:`Cascade.write` wrote; None if there is no such file.

    Raises:
        CheckpointError: damaged, or fitted for other weights than lie beside it.
    """
    if not path.is_file():
        return None
    values = read_json(path)
    try:
        cascade = _checked(values)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: it holds no thresholds of a cascade") from error
    refuse_other_weights(path, cascade.weights)
    return cascade


def _checked(values: Mapping[str, Any]) -> Cascade:
    names = ("motion", "one_frame", "full", "cascaded", "by_motion", "by_one_frame")
    numbers = {name: float(values[name]) for name in names}
    cascade = Cascade(clips=int(values["clips"]), **numbers, weights=noted_weights(values))
    shares = (cascade.by_motion, cascade.by_one_frame, cascade.full / 100, cascade.cascaded / 100)
    if not all(0 < number <= NEVER for number in (cascade.motion, cascade.one_frame)):
        raise ValueError("a threshold is out of range")
    if cascade.clips < 1 or not all(0 <= share <= 1 for share in shares):
        raise ValueError("a share is out of range")
    return cascade
