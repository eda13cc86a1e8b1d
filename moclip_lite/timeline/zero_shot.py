"""Timelines by free-text labels: frames of each window against sentences, nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..appearance.zero_shot import zero_shot_scores
from ..datasets.prompts import read_prompts
from ..experiment.session import Session
from ..streams import Stream
from .model import Floats
from .options import TimelineOptions, TimelineProgress, silent
from .timeline import Timeline
from .video import make_timeline

__all__ = ["WINDOW", "ZeroShotModel"]

WINDOW: Final = 10.0
"""Seconds of a window: there are no training clips to take it from."""


class ZeroShotModel:
    """A ``WindowModel`` whose classes are sentences; its stream is called "appearance".

    Args:
        session: an experiment with the model.
        labels: free text.

    Raises:
        ConfigError, WeightsUnavailable, CheckpointError: the model or its prompts are unavailable, or two
            labels share a sentence.
    """

    motion = None

    def __init__(self, session: Session, labels: Sequence[str]) -> None:
        self.experiment, self.labels = session.experiment, tuple(labels)
        self.heads: dict[Stream, Any] = {Stream.APPEARANCE: None}
        session.encoder.require_text()
        prompts = read_prompts(session.experiment.clip.prompts).check(labels)
        prompts.refuse_shared(labels)
        session.encoder.warn_if_random()
        self._encoder = session.encoder.lazy.encoder
        self._classes = self._encoder.class_vectors(labels, prompts)

    def timeline(
        self,
        path: str | Path,
        *,
        window: float | None = None,
        stride: float | None = None,
        threshold: float | None = None,
        progress: TimelineProgress = silent,
    ) -> Timeline:
        """Label the parts of a video; see :meth:`moclip_lite.Classifier.timeline`."""
        options = TimelineOptions(window=window or WINDOW, stride=stride, threshold=threshold)
        return make_timeline(self, Path(path), None, options, progress)

    def appearance_features(self, pictures: npt.NDArray[np.uint8]) -> Floats:
        """Features [frames, D], or [1, D] by a video model."""
        return self._encoder.encode_images(pictures)

    def head_scores(self, stream: Stream, tokens: Floats | None, appearance: Floats) -> Floats:
        """Probabilities [C] by cosine similarity."""
        return np.asarray(zero_shot_scores(appearance[None], self._classes)[0], np.float32)
