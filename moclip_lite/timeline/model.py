"""Interface of classifiers for timelines, and the scores of one window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Protocol, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from ..experiment.config import Experiment
from ..streams import ANSWERS, Source, Stream

__all__ = [
    "Floats",
    "MotionAnswer",
    "MotionModel",
    "SegmentModel",
    "WindowModel",
    "WindowScore",
    "answer_of",
    "encodes_segments",
    "stream_scores",
]

Floats: TypeAlias = npt.NDArray[np.float32]

_ANSWERS: Final = tuple(str(stream) for stream in ANSWERS)


class MotionModel(Protocol):
    """The motion network of a classifier, such as an engine of a run folder."""

    def motion_features(self, motion: npt.NDArray[np.float16]) -> tuple[Floats, Floats]:
        """Tokens [T, D] and class probabilities [C] of motion [segments, frames, 2, rows, columns]."""


class WindowModel(Protocol):
    """A classifier of windows; :class:`moclip_lite.Classifier` is one."""

    experiment: Experiment
    labels: tuple[str, ...]

    @property
    def motion(self) -> MotionModel | None:
        """The motion network; None if there is none."""

    @property
    def heads(self) -> Mapping[Stream, Any]:
        """The heads that answer."""

    def appearance_features(self, pictures: npt.NDArray[np.uint8]) -> Floats:
        """Features [frames, D] of pictures uint8 [frames, H, W, 3]."""

    def head_scores(self, stream: Stream, tokens: Floats | None, appearance: Floats) -> Floats:
        """Class probabilities [C] of a head."""


class SegmentModel(MotionModel, Protocol):
    """A motion network that encodes segments one by one, so that windows can share them."""

    @property
    def encodes_segments(self) -> bool:
        """Whether the two methods can be called."""

    def segment_features(self, motion: npt.NDArray[np.float16]) -> Floats:
        """Features [N, views, D] of segments [N, frames, 2, rows, columns]."""

    def window_features(self, segments: Floats) -> tuple[Floats, Floats]:
        """:meth:`motion_features` of a window, from the features [T, views, D] of its segments."""


def encodes_segments(motion: MotionModel | None) -> TypeGuard[SegmentModel]:
    """Whether a motion network can encode segments one by one."""
    return bool(getattr(motion, "encodes_segments", False))


@dataclass(frozen=True)
class MotionAnswer:
    """What the motion network says of a window.

    Attributes:
        tokens: float32 [T, D].
        scores: class probabilities, float32 [C].
        energy: see :class:`WindowScore`.
    """

    tokens: Floats
    scores: Floats
    energy: float


@dataclass(frozen=True)
class WindowScore:
    """Scores of one window.

    Attributes:
        start, end: seconds, as the caller counts them; `end` is exclusive.
        scores: class probabilities float32 [C] of each stream that could be asked, by its name: "motion",
            "appearance", "fusion". Empty where the window has neither usable motion nor pictures.
        energy: mean length of the window's motion vectors in pixels per frame, at a short side of 240 pixels;
            0 without motion (I pictures only), nan for a model that does not look at motion.
        problem: why a stream of the model gave no scores, as a sentence; empty if all did.
    """

    start: float
    end: float
    scores: Mapping[str, Floats] = field(default_factory=dict)
    energy: float = float("nan")
    problem: str = ""

    @cached_property
    def stream(self) -> str | None:
        """The stream that answers, as in :class:`moclip_lite.Prediction`; None without scores."""
        return answer_of(self.scores)

    @property
    def answer(self) -> Floats | None:
        """Class probabilities [C] of the stream that answers; None without scores."""
        return None if self.stream is None else self.scores[self.stream]


def answer_of(scores: Mapping[str, object]) -> str | None:
    """The first of fusion, appearance and motion that has scores."""
    return next((name for name in _ANSWERS if name in scores), None)


def stream_scores(
    model: WindowModel, motion: MotionAnswer | None, appearance: Floats | None
) -> dict[str, Floats]:
    """Class probabilities of all streams that can be asked, as in :meth:`moclip_lite.Classifier.explain`.

    Args:
        model: the classifier.
        motion: what the motion network says; None without motion.
        appearance: [frames, D]; None without pictures.
    """
    scores: dict[str, Floats] = {}
    tokens = None if motion is None else motion.tokens
    if motion is not None:
        scores[str(Stream.MOTION)] = motion.scores
    if appearance is not None:
        for stream in model.heads:
            if tokens is not None or Source.MOTION_NETWORK not in stream.sources:
                scores[str(stream)] = model.head_scores(stream, tokens, appearance)
    return scores
