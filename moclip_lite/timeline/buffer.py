"""Fields and pictures of the windows that are still open: each is pooled or encoded once and shared."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from mv_tools import MalformedStream, MotionFrame

from ..motion.read import FieldReader, PictureGeometry, assemble_motion
from .model import Floats, WindowModel

__all__ = ["MotionBuffer", "PictureBuffer", "PooledField"]

Picture = npt.NDArray[np.uint8]
_MIN_WAITING: Final = 4  # pictures that wait to be encoded, at least


class PooledField(NamedTuple):
    """Pooled motion of one picture.

    Attributes:
        number: of the picture.
        field: see :meth:`moclip_lite.motion.read.FieldReader.read`.
        predicted: whether it is a P or B picture.
    """

    number: int
    field: Floats
    predicted: bool


class MotionBuffer:
    """Pooled fields by picture number.

    Args:
        model: whose settings say how motion is read.
        geometry: of the pictures; None if no motion is added.
    """

    def __init__(self, model: WindowModel, geometry: PictureGeometry | None) -> None:
        self._spec = model.experiment.motion
        self._reader = None if geometry is None else FieldReader(self._spec, geometry)
        self._fields: dict[int, Floats] = {}
        self._predicted: dict[int, bool] = {}
        self._waiting: dict[int, tuple[MotionFrame, FieldReader]] = {}

    def __len__(self) -> int:
        return len(self._fields) + len(self._waiting)

    def change_geometry(self, geometry: PictureGeometry) -> None:
        """Pictures that follow have another size."""
        self._reader = FieldReader(self._spec, geometry)

    def add(self, frame: MotionFrame) -> None:
        """Pool a picture's motion and keep it; a deferred picture's is pooled when a window takes it."""
        if frame.deferred and self._spec.field != "accumulated" and self._reader is not None:
            self._waiting[frame.index] = frame, self._reader
        else:
            self.keep(self.pool(frame))

    def pool(self, frame: MotionFrame) -> PooledField:
        """Pool a picture's motion, on any one thread."""
        assert self._reader is not None
        return PooledField(frame.index, self._reader.read(frame), frame.pict_type != "I")

    def keep(self, pooled: PooledField) -> None:
        """Keep a picture's pooled motion."""
        self._fields[pooled.number] = pooled.field
        self._predicted[pooled.number] = pooled.predicted

    def forget(self, before: int) -> None:
        """Drop pictures before a number."""
        for number in [number for number in self._fields if number < before]:
            del self._fields[number], self._predicted[number]
        for number in [number for number in self._waiting if number < before]:
            del self._waiting[number]

    def motion(self, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float16] | None, str]:
        """The motion tensor of a window, the nearest pictures in place of missing ones.

        Args:
            indices: int64 [segments, frames], picture numbers.

        Returns:
            (motion, ""), or (None, reason): more than half of the pictures are missing,
            or all are I pictures.
        """
        available, problem = self._available(indices)
        if available is None:
            return None, problem
        return assemble_motion(self._fields, available, self._spec), ""

    def segments(
        self, places: Sequence[npt.NDArray[np.int64]]
    ) -> tuple[npt.NDArray[np.float16] | None, list[int]]:
        """The motion of segments, each as :meth:`motion` of it; not for crops, which depend on all pictures.

        Args:
            places: int64 [frames] each, picture numbers.

        Returns:
            (motion [N, frames, 2, rows, columns], the positions in `places` that it is of); None without any.
        """
        available = [(i, self._available(place)[0]) for i, place in enumerate(places)]
        usable = [(i, indices) for i, indices in available if indices is not None]
        if not usable:
            return None, []
        motion = assemble_motion(self._fields, np.stack([indices for _, indices in usable]), self._spec)
        return motion, [i for i, _ in usable]

    def _available(self, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64] | None, str]:
        """Picture numbers whose motion is known, the nearest in place of missing ones; None and why."""
        sampled = np.unique(indices)
        self.pool_waiting(sampled.tolist())
        known = np.array([number in self._fields for number in sampled.tolist()])
        intact, missing = sampled[known], sampled[~known]
        if 2 * len(missing) > len(sampled):
            return None, f"{len(missing)} of {len(sampled)} pictures of motion are damaged or missing"
        if len(missing):
            nearest = intact[np.abs(intact[:, None] - missing[None, :]).argmin(axis=0)]
            places = np.searchsorted(missing, indices).clip(0, len(missing) - 1)
            indices = np.where(missing[places] == indices, nearest[places], indices)
        if not any(self._predicted[number] for number in intact.tolist()):
            return None, "no motion (only I pictures)"
        return indices, ""

    def pool_waiting(self, numbers: Sequence[int]) -> None:
        """Pool deferred pictures; damaged ones are missing from then on."""
        for number in numbers:
            frame, reader = self._waiting.pop(number, (None, None))
            if frame is None or reader is None:
                continue
            with contextlib.suppress(MalformedStream):
                self.keep(PooledField(number, reader.read(frame), frame.pict_type != "I"))


class PictureBuffer:
    """Pictures by number, and features of those that a window took.

    An image model's features are kept in place of its pictures, of which no more wait than a window takes. A
    video model takes the pictures of a window together, so that these are kept.

    Args:
        model: whose encoder is used.
    """

    def __init__(self, model: WindowModel) -> None:
        self._model, self._clip = model, model.experiment.clip
        self._pictures: dict[int, Picture] = {}
        self._features: dict[int, Floats] = {}

    def __len__(self) -> int:
        return len(self._pictures) + len(self._features)

    def add(self, number: int, picture: Picture) -> None:
        """Add a picture, uint8 [H, W, 3]."""
        self._pictures[number] = picture
        if not self._clip.video and len(self._pictures) > max(self._clip.frames, _MIN_WAITING):
            self._encode_waiting(list(self._pictures))

    def forget(self, before: int) -> None:
        """Drop pictures before a number."""
        for store in (self._pictures, self._features):
            for number in [number for number in store if number < before]:
                del store[number]

    def features(self, numbers: Sequence[int]) -> Floats | None:
        """Features [frames, D] of a window's pictures, or [1, D] by a video model; None if one is missing."""
        if not numbers or any(n not in self._pictures and n not in self._features for n in numbers):
            return None
        if self._clip.video:
            return self._encode(numbers)
        self._encode_waiting(sorted({n for n in numbers if n not in self._features}))
        return np.stack([self._features[n] for n in numbers])

    def _encode_waiting(self, numbers: Sequence[int]) -> None:
        """Put features in place of pictures."""
        for shape in {self._pictures[n].shape for n in numbers}:
            alike = [n for n in numbers if self._pictures[n].shape == shape]
            for number, row in zip(alike, self._encode(alike), strict=True):
                self._features[number] = row
        for number in numbers:
            del self._pictures[number]

    def _encode(self, numbers: Sequence[int]) -> Floats:
        return self._model.appearance_features(np.stack([self._pictures[n] for n in numbers]))
