"""Features of a whole data set, from which heads can be trained without the videos.

They record how its clips are divided. Features of a trained motion network can be used with that
division only: any other would test on clips that the network was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ...datasets import Clip, VideoDataset
from ...storage.digest import digest_bytes
from .feature_description import Origin

__all__ = ["FeatureFile", "FeatureRows"]

Floats = npt.NDArray[np.float32]


class FeatureRows(Protocol):
    """Features that are read as they are needed."""

    def read(
        self, columns: Sequence[str], positions: npt.NDArray[np.int64]
    ) -> Iterator[tuple[npt.NDArray[np.int64], list[Floats]]]:
        """Positions of clips -> (places in them, for each column float32 [places, ...]), a part at a time."""


@dataclass(frozen=True)
class FeatureFile:
    """Features and the clips they were made from; of one stream alone or of both.

    Attributes:
        dataset: clips (without videos), labels and splits.
        motion: float32 [N, segments, Dm], in the order of the clips, where one network made them; None else.
        fold_motion: fold name -> float32 [n, segments, Dm], in the order train, validation, test of the fold,
            where each fold has its own network.
        appearance: float32 [N, frames, Da], or None.
        classes: float32 [C, Da], text embeddings of the labels, or None.
        digest: of the file.
        origin: the run that made it, or None.
        bound: whether no other division than its own may be used.
        stream: reads the features where they are not in memory;
            `motion`, `fold_motion` and `appearance` are empty then.
        buffer: clips in memory where features are streamed; None where all are.
        shapes: column -> shape of a clip's features: "motion" or "motion.0" ..., and "appearance".
    """

    dataset: VideoDataset
    motion: Floats | None
    appearance: Floats | None
    classes: Floats | None
    digest: str
    fold_motion: Mapping[str, Floats] = field(default_factory=dict)
    origin: Origin | None = None
    bound: bool = False
    stream: FeatureRows | None = None
    buffer: int | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def has_motion(self) -> bool:
        """Whether there are features of the motion stream."""
        return any(name.startswith("motion") for name in self.shapes)

    @property
    def has_appearance(self) -> bool:
        """Whether there are features of the appearance stream."""
        return "appearance" in self.shapes

    def motion_column(self, fold: str) -> str | None:
        """Name of the column with a fold's motion features; None without motion."""
        if "motion" in self.shapes or self.origin is None:
            return "motion" if "motion" in self.shapes else None
        names = [named.name for named in self.origin.folds]
        return f"motion.{names.index(fold)}" if self.has_motion and fold in names else None

    def streamed(self, buffer: int) -> FeatureFile:
        """The same file, of which no more clips than the buffer holds are handed out at once."""
        if len(self.dataset.clips) <= buffer or self.stream is not None:
            return self
        return replace(
            self, motion=None, fold_motion={}, appearance=None, stream=_MemoryRows(self), buffer=buffer
        )

    def in_memory(self) -> FeatureFile:
        """The same features, read into memory."""
        assert self.stream is not None
        folds = () if self.origin is None else self.origin.folds
        sizes = {f"motion.{i}": self.rows(fold.clips()) for i, fold in enumerate(folds)}
        every = np.arange(len(self.dataset.clips))
        arrays = {}
        for name, shape in self.shapes.items():
            positions = np.asarray(sizes.get(name, every), np.int64)
            arrays[name] = np.empty((len(positions), *shape), np.float32)
            for places, (numbers,) in self.stream.read([name], positions):
                arrays[name][places] = numbers
        return replace(
            self,
            motion=arrays.get("motion"),
            appearance=arrays.get("appearance"),
            fold_motion={
                f.name: arrays[f"motion.{i}"] for i, f in enumerate(folds) if f"motion.{i}" in arrays
            },
            stream=None,
            buffer=None,
        )

    def rows(self, clips: Sequence[Clip]) -> npt.NDArray[np.intp]:
        """Positions of clips."""
        place = {clip.name: i for i, clip in enumerate(self.dataset.clips)}
        return np.array([place[clip.name] for clip in clips], np.intp)

    def content_digests(self) -> dict[str, str]:
        """Clip name -> digest of its features, of frames if it has any; zeros tell nothing and are left out.

        Empty where the features are streamed.
        """
        features = self.appearance if self.appearance is not None else self.motion
        if features is None:
            return {}
        rows = zip(self.dataset.clips, features, strict=True)
        return {clip.name: digest_bytes([row.tobytes()]) for clip, row in rows if row.any()}

    def network_digest(self, fold: str) -> str:
        """Digest of what made a fold's motion features: its motion network if known, else the file."""
        networks = {} if self.origin is None else self.origin.networks
        return networks.get(fold, self.digest)

    def motion_of(self, fold: str) -> dict[str, Floats]:
        """Clip name -> float32 [segments, Dm] by the fold's motion network; empty without motion."""
        if self.motion is not None:
            return {clip.name: row for clip, row in zip(self.dataset.clips, self.motion, strict=True)}
        if self.origin is None or fold not in self.fold_motion:
            return {}
        clips = next(f for f in self.origin.folds if f.name == fold).clips()
        return {clip.name: row for clip, row in zip(clips, self.fold_motion[fold], strict=True)}


class _MemoryRows(FeatureRows):
    """Features of a file that is in memory, read as if they were elsewhere."""

    def __init__(self, file: FeatureFile) -> None:
        self._file = file
        self._columns = {"motion": file.motion, "appearance": file.appearance}

    def read(
        self, columns: Sequence[str], positions: npt.NDArray[np.int64]
    ) -> Iterator[tuple[npt.NDArray[np.int64], list[Floats]]]:
        yield np.arange(len(positions)), [self._column(name)[positions] for name in columns]

    def _column(self, name: str) -> Floats:
        array = self._columns.get(name)
        if array is None:  # of one fold: put where its clips stand
            assert self._file.origin is not None
            fold = self._file.origin.folds[int(name.removeprefix("motion."))]
            rows = self._file.fold_motion[fold.name]
            array = np.zeros((len(self._file.dataset.clips), *rows.shape[1:]), np.float32)
            array[self._file.rows(fold.clips())] = rows
            self._columns[name] = array
        return array
