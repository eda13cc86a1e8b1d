"""Calibration for long videos: thresholds from a fold's validation clips, window length from its training clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

import mv_tools
from mv_tools import RgbDecoder

from ..datasets import Clip
from ..motion.read import motion_energy
from ..results.calibration import Calibration, fit_stream, still_energy
from ..results.write import FoldResult
from ..streams import ANSWERS, Stream
from .features import FoldFeatures

__all__ = ["calibrate"]

_MEASURED: Final = 64  # training clips whose length is read


def calibrate(features: FoldFeatures, result: FoldResult) -> Calibration:
    """Calibrate the streams that answer in prediction.

    Args:
        features: of the fold.
        result: of the fold, with validation scores; a stream without them is left out.
    """
    streams = {
        str(stream): fit_stream(tests.scores, tests.truth(features.labels))
        for stream, tests in result.validation.items()
        if stream in ANSWERS and len(tests.clips)
    }
    energy = 0.0
    if Stream.MOTION in result.validation:
        energies = [motion_energy(features.store.motion(c)) for c in result.validation[Stream.MOTION].clips]
        energy = still_energy(np.array(energies))
    return Calibration(_median_seconds(features.fold.train), energy, streams)


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
