"""Calibration of a fold's answers on its validation clips: thresholds for long videos and of the cascade.

The models that answer may have been trained on the validation clips too. The scores here are those of the
first training, on the training clips alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

import mv_tools
from mv_tools import RgbDecoder

from ...datasets import Clip
from ...results.calibration import Calibration, fit_stream, still_energy
from ...results.cascade import Cascade, fit_cascade
from ...results.fold_result import FoldResult
from ...streams import ANSWERS, Stream
from .features import FoldFeatures

__all__ = ["calibrate", "calibrate_cascade"]

_MEASURED: Final = 64  # training clips whose length is read


def calibrate(features: FoldFeatures, result: FoldResult) -> Calibration:
    """Calibrate the streams that answer in prediction.

    Args:
        features: of the fold.
        result: of the fold, with validation scores; a stream without them is left out.
    """
    streams = {
        str(stream): fit_stream(tests.scores, tests.targets)
        for stream, tests in result.validation.items()
        if stream in ANSWERS and len(tests.clips)
    }
    energy = 0.0
    if Stream.MOTION in result.validation:
        clips = result.validation[Stream.MOTION].clips
        energy = still_energy(np.array([features.store.energy(clip) for clip in clips]))
    return Calibration(_median_seconds(features.fold.train), energy, streams)


def calibrate_cascade(result: FoldResult) -> Cascade | None:
    """Choose the thresholds of a fold's cascade.

    Args:
        result: of the fold, with validation scores of motion and of the fusion.

    Returns:
        The thresholds; None without either stream, or where there are fewer
        than 15 validation clips with both.
    """
    motion, fusion = (result.validation.get(stream) for stream in (Stream.MOTION, Stream.FUSION))
    if motion is None or fusion is None:
        return None
    row = {clip.name: number for number, clip in enumerate(motion.clips)}
    both = np.array([number for number, clip in enumerate(fusion.clips) if clip.name in row], np.intp)
    alone = motion.scores[[row[fusion.clips[number].name] for number in both]]
    middle = None if result.one_frame is None else result.one_frame[both]
    return fit_cascade(alone, middle, fusion.scores[both], fusion.targets[both])


def _median_seconds(clips: Sequence[Clip]) -> float | None:
    """Median length of clips, of 64 spread over them; None if none can be read."""
    step = max(1, len(clips) // _MEASURED)
    seconds = []
    for clip in clips[::step][:_MEASURED]:
        if clip.segment is not None:
            seconds.append(clip.segment.end - clip.segment.start)
            continue
        try:
            seconds.append(float(RgbDecoder(clip.path).edges()[-1]))
        except (mv_tools.MotionError, OSError):
            continue  # reported where it was to be read for training
    return round(float(np.median(seconds)), 3) if seconds else None
