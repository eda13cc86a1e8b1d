"""Scores of a file's streams: all of them, or by the cascade as many as are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ..appearance.pooling import FrameFacts
from ..engine.base import Floats
from ..results.cascade import Cascade
from ..streams import Source, Stream
from .read_file import FileReader, Reading

if TYPE_CHECKING:
    from .classifier import Classifier

__all__ = ["score_all", "score_in_steps"]

Scores: TypeAlias = dict[Stream, Floats]


def score_all(classifier: Classifier, reader: FileReader, notes: list[str]) -> tuple[Scores, int]:
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
    classifier: Classifier, reader: FileReader, cascade: Cascade, notes: list[str]
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
    classifier: Classifier, reading: Reading, notes: list[str]
) -> tuple[Floats | None, Scores]:
    """Motion tokens, None without motion, and the motion stream's scores."""
    notes += reading.notes
    if reading.motion is None:
        return None, {}
    if reading.motion.empty:
        notes.append("no motion in this file (only I pictures): classified by appearance alone")
        return None, {}
    tokens, scores = classifier.engine.motion_features(reading.motion.motion)
    return tokens, {Stream.MOTION: scores}


def _head_scores(
    classifier: Classifier, tokens: Floats | None, appearance: Floats, facts: FrameFacts | None = None
) -> Scores:
    return {
        stream: classifier.head_scores(stream, tokens, appearance, facts)
        for stream in classifier.heads
        if tokens is not None or Source.MOTION_NETWORK not in stream.sources
    }
