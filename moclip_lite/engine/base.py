"""Interface of the engines that compute a classifier's networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ..appearance.pooling import FrameFacts
from ..streams import Stream

__all__ = ["Engine", "EngineName", "Floats"]

EngineName: TypeAlias = Literal["auto", "onnx", "onnx-int8", "torch"]
"""What a caller may ask for; "auto" takes ONNX files where they belong to the run's weights, else PyTorch.
"onnx-int8" is ONNX Runtime with the image encoder in 8-bit integers."""

Floats: TypeAlias = npt.NDArray[np.float32]


class Engine(ABC):
    """Networks of a run folder.

    Attributes:
        name: "onnx", "onnx-int8" or "torch".
        notes: what to say beside each answer.
        files: digests of the files that it computes with beside the weights, by name.
        why: why the image encoder computes in int8, or in float32; "" where there was no choice.
        has_motion: whether there is a motion network.
        heads: the heads that answer, by stream.
    """

    name: str
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = MappingProxyType({})
    why: str = ""
    has_motion: bool
    heads: Mapping[Stream, Any]

    @property
    @abstractmethod
    def encoder(self) -> Any:
        """What encodes pictures, loaded on first use.

        Raises:
            CheckpointError: other weights than the heads were trained on.
            WeightsUnavailable: its weights can't be loaded.
        """

    def preload(self) -> None:
        """Load now what is otherwise loaded on first use, so that later changes of the folder have no effect.

        Raises:
            CheckpointError, WeightsUnavailable: as :attr:`encoder`.
        """
        if self.heads:
            _ = self.encoder

    @property
    @abstractmethod
    def warnings(self) -> list[str]:
        """What to tell before the first answer."""

    @abstractmethod
    def motion_features(self, motion: npt.NDArray[np.float16]) -> tuple[Floats, Floats]:
        """Tokens [T, D] and class probabilities [C] of motion [segments, frames, 2, rows, columns]."""

    @property
    @abstractmethod
    def encodes_segments(self) -> bool:
        """Whether segments can be encoded one by one, with the next two methods."""

    @abstractmethod
    def segment_features(self, motion: npt.NDArray[np.float16]) -> Floats:
        """Features [N, views, D] of segments [N, frames, 2, rows, columns]."""

    @abstractmethod
    def window_features(self, segments: Floats) -> tuple[Floats, Floats]:
        """:meth:`motion_features` from the features [T, views, D] of all segments."""

    @abstractmethod
    def appearance_features(self, pictures: npt.NDArray[np.uint8]) -> Floats:
        """Features [frames, D] of pictures uint8 [frames, H, W, 3], as the heads take them."""

    @abstractmethod
    def head_scores(
        self, stream: Stream, tokens: Floats | None, appearance: Floats, facts: FrameFacts | None = None
    ) -> Floats:
        """Class probabilities [C] of a head for tokens [T, D] (None: no motion) and features [frames, D].

        `facts` tell where the frames stand; even ones by default.
        """
