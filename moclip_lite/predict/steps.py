"""Scores of a file's streams: all of them, or by the cascade as many as are needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from ..appearance.pooling import FrameFacts
from ..engine.base import Engine, Floats
from ..experiment.config import Experiment
from ..results.cascade import Cascade
from ..streams import Source, Stream
from .read_file import FileReader, Reading

__all__ = ["score_all", "score_in_steps"]

Scores: TypeAlias = dict[Stream, Floats]


class ScoringModel(Protocol):
    """What scoring needs of a classifier."""

    experiment: Experiment
    engine: Engine

    @property
    def heads(self) -> Mapping[Stream, Any]:
        """The heads that answer, by stream."""

    def own_features(self, path: Path) -> Floats | None:
        """Precomputed appearance features of a file."""

    def appearance_features(self, pictures: npt.NDArray[np.uint8]) -> Floats:
        """Appearance features of pictures."""

    def head_scores(
        self, stream: Stream, tokens: Floats | None, appearance: Floats, facts: FrameFacts | None = None
    ) -> Floats:
        """Class probabilities of a head."""


def score_all(classifier: ScoringModel, reader: FileReader, notes: list[str]) -> tuple[Scores, int]:
    """Score all streams.

    Args:
        classifier: of the run.
        reader: of the file.
        notes: remarks are added.

    Returns:
        (class probabilities by stream, number of frames encoded).
    """
    own = classifier.own_features(reader.path)
    reading = reader.both()
    tokens, scores = _motion_scores(classifier, reading, notes)
    if own is not None:
        return scores | _head_scores(classifier, tokens, own), 0
    if reading.pictures is None:
        return scores, 0
    appearance = classifier.appearance_features(reading.pictures)
    scores |= _head_scores(classifier, tokens, appearance, reading.facts)
    return scores, len(reading.pictures)


def score_in_steps(
    classifier: ScoringModel, reader: FileReader, cascade: Cascade, notes: list[str]
) -> tuple[Scores, int]:
    """Score motion; below its threshold the fusion with the middle frame; below that one all streams.

    Pictures are read only if motion is below its threshold, and not on a second thread meanwhile.

    Args, Returns: as :func:`score_all`.
    """
    tokens, scores = _motion_scores(classifier, reader.motion(), notes)
    if tokens is not None and scores[Stream.MOTION].max() >= cascade.motion:
        notes.append("cascade: decided by motion alone, no picture was read")
        return scores, 0
    own, frames = classifier.own_features(reader.path), reader.frames()
    if own is not None:
        return scores | _head_scores(classifier, tokens, own), 0
    if frames is None:
        return scores, 0
    notes += frames.notes
    pictures = frames.pictures
    count, video = len(pictures), classifier.experiment.clip.video
    if tokens is not None and count > 1 and not video and cascade.one_frame <= 1:
        half = slice(count // 2, count // 2 + 1)
        middle = classifier.appearance_features(pictures[half])
        facts = FrameFacts(frames.facts.times[half], np.ones(1, np.float32))
        fusion = classifier.head_scores(Stream.FUSION, tokens, middle, facts)
        if fusion.max() >= cascade.one_frame:
            notes.append("cascade: decided by the fusion with one frame")
            return {**scores, Stream.FUSION: fusion}, 1
    appearance = classifier.appearance_features(pictures)
    return scores | _head_scores(classifier, tokens, appearance, frames.facts), count


def _motion_scores(
    classifier: ScoringModel, reading: Reading, notes: list[str]
) -> tuple[Floats | None, Scores]:
    """Motion tokens, None without motion, and the motion stream's scores."""
    notes += reading.notes
    if reading.motion is None:
        return None, {}
    if reading.motion.empty:
        alone = ": classified by appearance alone" if classifier.heads else ""
        notes.append(f"no motion in this file (only I pictures are shown){alone}")
        return None, {}
    tokens, scores = classifier.engine.motion_features(reading.motion.motion)
    return tokens, {Stream.MOTION: scores}


def _head_scores(
    classifier: ScoringModel, tokens: Floats | None, appearance: Floats, facts: FrameFacts | None = None
) -> Scores:
    return {
        stream: classifier.head_scores(stream, tokens, appearance, facts)
        for stream in classifier.heads
        if tokens is not None or Source.MOTION_NETWORK not in stream.sources
    }
