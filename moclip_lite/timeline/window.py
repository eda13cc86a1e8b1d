"""One window: its pictures, and its scores from the buffers of open windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..motion.read import PictureGeometry, motion_energy
from .buffer import MotionBuffer, PictureBuffer
from .model import MotionAnswer, WindowModel, WindowScore, stream_scores

__all__ = ["Window", "WindowBuffers"]


@dataclass(frozen=True)
class Window:
    """What a window is scored on.

    Attributes:
        start, end: seconds.
        motion: int64 [segments, frames], numbers of the pictures whose motion is read;
            None if there are none.
        pictures: numbers of the pictures that the appearance encoder sees.
    """

    start: float
    end: float
    motion: npt.NDArray[np.int64] | None
    pictures: tuple[int, ...] = ()


class WindowBuffers:
    """Motion and pictures of open windows, and the scores of a window from them.

    Args:
        model: the classifier.
        geometry: of the pictures; None if the model does not look at motion.
    """

    def __init__(self, model: WindowModel, geometry: PictureGeometry | None) -> None:
        self._model = model
        self.motion = MotionBuffer(model, geometry)
        self.pictures = PictureBuffer(model)

    def score(self, window: Window) -> WindowScore:
        """Score a window whose pictures were added."""
        network = self._model.motion
        if network is None:
            return self.score_answered(window, None, "", energy=float("nan"))
        if window.motion is None:
            return self.score_answered(window, None, "no picture with motion")
        motion, problem = self.motion.motion(window.motion)
        if motion is None:
            return self.score_answered(window, None, problem)
        answer = MotionAnswer(*network.motion_features(motion), motion_energy(motion))
        return self.score_answered(window, answer, problem)

    def score_answered(
        self, window: Window, answer: MotionAnswer | None, problem: str, energy: float = 0.0
    ) -> WindowScore:
        """Score a window of whose motion is known what the network says, or why it says nothing."""
        model, problems = self._model, [problem] if problem else []
        appearance = self.pictures.features(window.pictures) if model.heads else None
        if model.heads and appearance is None:
            problems.append("no decoded picture")
        scores = stream_scores(model, answer, appearance)
        energy = energy if answer is None else answer.energy
        return WindowScore(window.start, window.end, scores, energy, "; ".join(problems))
