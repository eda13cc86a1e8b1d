"""One classifier for the threads of all cameras."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..streams import Stream
from ..timeline.model import Floats, WindowModel, encodes_segments

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
    def motion(self) -> Any:
        """The motion network; None if there is none."""
        return self._model.motion

    @property
    def heads(self) -> Mapping[Stream, Any]:
        """The heads that answer."""
        return self._model.heads

    def motion_features(self, motion: npt.NDArray[np.float16]) -> tuple[Floats, Floats]:
        """See :class:`~moclip_lite.timeline.model.WindowModel`."""
        with self._lock:
            return self._model.motion_features(motion)

    @property
    def encodes_segments(self) -> bool:
        """See :class:`~moclip_lite.timeline.model.SegmentModel`."""
        return encodes_segments(self._model)

    def segment_features(self, motion: npt.NDArray[np.float16]) -> Floats:
        """See :class:`~moclip_lite.timeline.model.SegmentModel`."""
        assert encodes_segments(self._model)
        with self._lock:
            return self._model.segment_features(motion)

    def window_features(self, segments: Floats) -> tuple[Floats, Floats]:
        """See :class:`~moclip_lite.timeline.model.SegmentModel`."""
        assert encodes_segments(self._model)
        with self._lock:
            return self._model.window_features(segments)

    def appearance_features(self, pictures: npt.NDArray[np.uint8]) -> Floats:
        """See :class:`~moclip_lite.timeline.model.WindowModel`."""
        with self._lock:
            return self._model.appearance_features(pictures)

    def head_scores(self, stream: Stream, tokens: Floats | None, appearance: Floats) -> Floats:
        """See :class:`~moclip_lite.timeline.model.WindowModel`."""
        with self._lock:
            return self._model.head_scores(stream, tokens, appearance)
