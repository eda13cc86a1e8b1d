"""Calibration of the cascade of prediction: on validation clips that none of its models was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..results.cascade import Cascade, fit_cascade
from ..results.write import FoldResult
from ..streams import Stream
from .features import Floats

__all__ = ["calibrate_cascade"]


def calibrate_cascade(labels: Sequence[str], result: FoldResult, one_frame: Floats | None) -> Cascade | None:
    """Choose the thresholds of a fold's cascade.

    The models that answer may have been trained on the validation clips too. The scores here are those that their
    first training gave, on the training clips alone.

    Args:
        labels: class names.
        result: of the fold, with validation scores of motion and of the fusion.
        one_frame: validation scores of the fusion with the middle frame alone; None where there is one frame only.

    Returns:
        The thresholds; None without either stream, or where there are fewer than 15 validation clips with both.
    """
    motion, fusion = (result.validation.get(stream) for stream in (Stream.MOTION, Stream.FUSION))
    if motion is None or fusion is None:
        return None
    row = {clip.name: number for number, clip in enumerate(motion.clips)}
    both = np.array([number for number, clip in enumerate(fusion.clips) if clip.name in row], np.intp)
    alone = motion.scores[[row[fusion.clips[number].name] for number in both]]
    middle = None if one_frame is None else one_frame[both]
    return fit_cascade(alone, middle, fusion.scores[both], fusion.truth(labels)[both])
