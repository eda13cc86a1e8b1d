"""One classifier for the threads of all cameras."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..streams import Stream
from ..timeline.model import Floats, MotionModel, WindowModel, encodes_segments

__all__ = ["SharedModel"]


class SharedModel:
    """A :class:`~moclip_lite.timeline.model.WindowModel` that one thread uses at a time.

    Args:
        model: the classifier.
    """

    def __init__(self, model: WindowModel) -> None:
        self._model = model
        self._lock = threading.Lock()
        self.experiment, self.labels = model.experiment, model.labels

    @property
    def motion(self) -> MotionModel | None:
        """The motion network; None if there is none."""
        return None if self._model.motion is None else _SharedMotion(self._model.motion, self._lock)

    @property
    def heads(self) -> Mapping[Stream, Any]:
        """The heads that answer."""
        return self._model.heads

    def appearance_features(self, pictures: npt.NDArray[np.uint8]) -> Floats:
        """See :class:`~moclip_lite.timeline.model.WindowModel`."""
        with self._lock:
            return self._model.appearance_features(pictures)

    def head_scores(self, stream: Stream, tokens: Floats | None, appearance: Floats) -> Floats:
        """See :class:`~moclip_lite.timeline.model.WindowModel`."""
        with self._lock:
            return self._model.head_scores(stream, tokens, appearance)


class _SharedMotion:
    """A motion network that one thread uses at a time."""

    def __init__(self, network: MotionModel, lock: threading.Lock) -> None:
        self._network, self._lock = network, lock

    def motion_features(self, motion: npt.NDArray[np.float16]) -> tuple[Floats, Floats]:
        """See :class:`~moclip_lite.timeline.model.MotionModel`."""
        with self._lock:
            return self._network.motion_features(motion)

    @property
    def encodes_segments(self) -> bool:
        """See :class:`~moclip_lite.timeline.model.SegmentModel`."""
        return encodes_segments(self._network)

    def segment_features(self, motion: npt.NDArray[np.float16]) -> Floats:
        """See :class:`~moclip_lite.timeline.model.SegmentModel`."""
        assert encodes_segments(self._network)
        with self._lock:
            return self._network.segment_features(motion)

    def window_features(self, segments: Floats) -> tuple[Floats, Floats]:
        """See :class:`~moclip_lite.timeline.model.SegmentModel`."""
        assert encodes_segments(self._network)
        with self._lock:
            return self._network.window_features(segments)
