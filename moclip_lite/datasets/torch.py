"""Motion of labelled clips for your own training loops: PyTorch data sets, map style and iterable.

Both read through a decoder's chosen-frames call, both work with any number of ``DataLoader`` workers, forked
or spawned, and draw the same samples whatever that number is: a draw depends on the seed,
the epoch and the clip alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypedDict, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from mv_tools import MotionDecoder, MotionError, flow, pool

from ..errors import DataError
from ..parallel.ranks import SINGLE, share
from ..sampling import segment_windows
from .clip import Clip, VideoDataset
from .clip_errors import stops_all
from .segments import SharedDecoders, motion_pictures

__all__ = ["IterableMotionDataset", "MotionDataset", "Sample", "Sampling"]

Sampling: TypeAlias = Literal["random", "uniform"]
Transform: TypeAlias = Callable[[Tensor], Any]

_SIDE: Final = 240  # pixels; vectors are those of a video whose short side has this length


class Sample(TypedDict):
    """Motion of a clip.

    Attributes:
        motion: float32 [frames, 2, rows, columns], (x right, y down) in pixels per frame of a video whose
            short side has 240 pixels; what a transform makes of it.
        label: number of the class.
        clip: number of the clip.
        frames: int64 [frames], the pictures' numbers.
    """

    motion: Any
    label: int
    clip: int
    frames: Tensor


class _Clips:
    """What both kinds of data sets have in common.

    Args:
        clips: a data set, such as :func:`moclip_lite.datasets.load_folder` returns, or clips.
        frames: pictures of a sample.
        grid: rows and columns of the motion.
        labels: class names in the order of their numbers; those of the data set, or in alphabetical order.
        transform: called with the motion.
        seed: of all draws.
        backend: of the decoders.

    Attributes:
        clips, labels: as given.

    Raises:
        DataError: no clips, a label that is given twice, or one that is not among the labels.
        ValueError: fewer than one picture, a grid without cells or with other than two sides, or a
            negative seed.
    """

    def __init__(
        self,
        clips: VideoDataset | Sequence[Clip],
        frames: int = 8,
        grid: tuple[int, int] = (12, 16),
        *,
        labels: Sequence[str] | None = None,
        transform: Transform | None = None,
        seed: int = 0,
        backend: str = "auto",
    ) -> None:
        if seed < 0:
            raise ValueError(f"the seed must be at least 0, got {seed}")
        if len(grid) != 2:
            raise ValueError(f"the grid has two sides, rows and columns, got {grid}")
        if frames < 1 or min(grid) < 1:
            raise ValueError(f"frames and the sides of the grid must be at least 1, got {frames} and {grid}")
        known = clips.labels if isinstance(clips, VideoDataset) else sorted({clip.label for clip in clips})
        self.clips = tuple(clips.clips if isinstance(clips, VideoDataset) else clips)
        self.labels = tuple(labels if labels is not None else known)
        if not self.clips:
            raise DataError("a data set of motion needs at least one clip")
        if repeated := [label for label in self.labels if self.labels.count(label) > 1]:
            raise DataError(f"the label {repeated[0]!r} is given twice")
        if absent := {clip.label for clip in self.clips} - set(self.labels):
            raise DataError(f"no number is known for the label {min(absent)!r}")
        self._number = {label: i for i, label in enumerate(self.labels)}
        self._frames, self._grid, self._transform = frames, grid, transform
        self._seed, self._backend = seed, backend
        self._epoch = torch.zeros(1, dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]  # seen by workers that last
        self._decoders = self._new_decoders()
        self._rank = SINGLE

    def set_epoch(self, epoch: int) -> None:
        """Draw what belongs to an epoch from now on, also in persistent workers.

        Raises:
            ValueError: a negative number.
        """
        if epoch < 0:
            raise ValueError(f"the epoch must be at least 0, got {epoch}")
        self._epoch.fill_(epoch)

    @property
    def epoch(self) -> int:
        """The epoch whose samples are drawn."""
        return int(self._epoch.item())

    def __getstate__(self) -> dict[str, Any]:
        # A spawned worker, unlike a forked one, does not have this process' group.
        return {**self.__dict__, "_decoders": None, "_rank": share() if self._rank == SINGLE else self._rank}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if not self._epoch.is_shared():  # type: ignore[no-untyped-call]  # a copy, not that of a worker
            self._epoch.share_memory_()  # type: ignore[no-untyped-call]
        self._decoders = self._new_decoders()

    def _new_decoders(self) -> SharedDecoders[MotionDecoder]:
        backend = self._backend
        # One thread: the workers are what runs in parallel.
        return SharedDecoders(lambda path: MotionDecoder(path, backend=backend, threads=1))

    def _pictures(self, clip: Clip, decoder: MotionDecoder) -> npt.NDArray[np.int64]:
        """Numbers of a clip's pictures that can hold motion; all of them where none can."""
        keyframes = decoder.keyframe_indices()  # scans the file: only then are its pictures counted
        inside = range(len(decoder)) if clip.segment is None else motion_pictures(decoder, clip.segment)
        every = np.arange(inside.start, inside.stop)
        moving = np.setdiff1d(every, keyframes)
        return moving if len(moving) else every

    def _sample(self, index: int, decoder: MotionDecoder, pictures: npt.NDArray[np.int64]) -> Sample:
        size = decoder.metadata
        scale = _SIDE / min(size.display_width, size.display_height)
        fields = [flow(frame) for frame in decoder.get_frames_at(pictures.tolist())]
        pooled = [pool(field, self._grid, region=size.region(field.shape[1:])) for field in fields]
        motion = torch.from_numpy(np.stack(pooled) * np.float32(scale))
        return {
            "motion": motion if self._transform is None else self._transform(motion),
            "label": self._number[self.clips[index].label],
            "clip": index,
            "frames": torch.from_numpy(pictures),
        }


class MotionDataset(_Clips, Dataset[Sample]):
    """A sample of each clip: pictures spread over it. Map style.

    Args:
        clips, frames, grid, labels, transform, seed, backend: see :class:`IterableMotionDataset`.
        sampling: "random" draws a picture from each of `frames` equal parts, another one in each epoch;
            "uniform" takes the parts' midpoints.

    Raises:
        DataError, ValueError: the clips or settings can't be used. Items raise mv_tools.MotionError or
            OSError for a file that can't be read.

    Example:
        >>> dataset = MotionDataset(load_folder(Path("clips")), frames=8)          # doctest: +SKIP
        >>> for batch in DataLoader(dataset, 16, shuffle=True, num_workers=4): ...  # doctest: +SKIP
    """

    def __init__(
        self,
        clips: VideoDataset | Sequence[Clip],
        frames: int = 8,
        grid: tuple[int, int] = (12, 16),
        *,
        sampling: Sampling = "random",
        **options: Any,
    ) -> None:
        if sampling not in get_args(Sampling):
            raise ValueError(f"sampling must be one of {get_args(Sampling)}, got {sampling!r}")
        super().__init__(clips, frames, grid, **options)
        self._sampling = sampling

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Sample:
        index = range(len(self.clips))[index]
        clip = self.clips[index]
        decoder = self._decoders.of(Path(clip.path))
        pictures = self._pictures(clip, decoder)
        if self._sampling == "uniform":
            chosen = segment_windows(len(pictures), self._frames, 1)[:, 0]
        else:
            rng = np.random.default_rng([self._seed, self.epoch, index])
            edges = np.linspace(0, len(pictures), self._frames + 1)
            chosen = np.minimum(rng.uniform(edges[:-1], edges[1:]).astype(np.int64), len(pictures) - 1)
        return self._sample(index, decoder, pictures[chosen])


class IterableMotionDataset(_Clips, IterableDataset[Sample]):
    """All windows of all clips, clip after clip, each file opened once: for long videos. Iterable.

    The clips are divided among the workers of a ``DataLoader`` and the processes of a ``torch.distributed``
    group; each window comes once in an epoch.

    Args:
        clips: a data set, such as :func:`moclip_lite.datasets.load_folder` returns, or clips.
        frames: pictures of a window.
        grid: rows and columns of the motion.
        stride: pictures from one window to the next; as many as a window has by default. What is left at the
            end of a clip, fewer pictures than a window, is left out; a clip shorter than a window is one,
            whose last picture repeats.
        shuffle: draw the order of the clips anew in each epoch.
        on_error: "raise" at a file that can't be read, or "skip" it and keep the reason in :attr:`skipped`
            (of the worker's copy).
        labels: class names in the order of their numbers; those of the data set, or in alphabetical order.
        transform: called with the motion.
        seed: of all draws.
        backend: of the decoders.

    Attributes:
        skipped: name of each clip that was skipped -> the reason.

    Raises:
        DataError, ValueError: the clips or settings can't be used.
    """

    def __init__(
        self,
        clips: VideoDataset | Sequence[Clip],
        frames: int = 8,
        grid: tuple[int, int] = (12, 16),
        *,
        stride: int | None = None,
        shuffle: bool = True,
        on_error: Literal["raise", "skip"] = "raise",
        **options: Any,
    ) -> None:
        if stride is not None and stride < 1:
            raise ValueError(f"stride must be at least 1, got {stride}")
        if on_error not in ("raise", "skip"):
            raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}")
        super().__init__(clips, frames, grid, **options)
        self._stride, self._shuffle, self._on_error = stride or frames, shuffle, on_error
        self.skipped: dict[str, str] = {}

    def __iter__(self) -> Iterator[Sample]:
        order = np.arange(len(self.clips))
        if self._shuffle:
            order = np.random.default_rng([self._seed, self.epoch]).permutation(len(order))
        worker, rank = get_worker_info(), share()
        if worker is not None and rank == SINGLE:
            rank = self._rank
        workers, number = (1, 0) if worker is None else (worker.num_workers, worker.id)
        for index in order[rank.rank * workers + number :: rank.world * workers].tolist():
            try:
                yield from self._windows(index)
            except (MotionError, OSError) as error:
                if self._on_error == "raise" or stops_all(error):
                    raise
                self.skipped[self.clips[index].name] = str(error)

    def _windows(self, index: int) -> Iterator[Sample]:
        clip = self.clips[index]
        decoder = self._decoders.of(Path(clip.path))
        pictures = self._pictures(clip, decoder)
        if len(pictures) < self._frames:
            pictures = np.pad(pictures, (0, self._frames - len(pictures)), mode="edge")
        for start in range(0, len(pictures) - self._frames + 1, self._stride):
            yield self._sample(index, decoder, pictures[start : start + self._frames])
