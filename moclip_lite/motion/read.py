"""Reading the motion tensor of a clip, the input of the motion network, from a video file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

import mv_tools
from mv_tools import Accumulator, FlowPooler, MotionDecoder, MotionFrame, pool, remove_camera_motion
from mv_tools.display import Region

from ..datasets.segments import motion_pictures
from ..sampling import Segment, segment_windows
from .crop_actor import cut, track
from .settings import MotionSpec

__all__ = [
    "STEPS",
    "FieldReader",
    "MotionClip",
    "PictureGeometry",
    "assemble_motion",
    "motion_energies",
    "motion_energy",
    "read_motion_clip",
]

STEPS: Final = 8
"""Vectors are rounded to 1/STEPS pixel, half a quarter sample."""

_REFERENCE_SIDE: Final = 240  # UCF101's height: vectors of other sizes are scaled to it
_ROUNDING: Final = 32  # samples that the coded size of pictures of one size may differ by
_MAX_MOTION: Final = 32767 / STEPS  # pixels; the largest number of the cache's format


@dataclass(frozen=True)
class MotionClip:
    """Motion of one clip.

    Attributes:
        motion: float16 [segments, frames, 2, rows, columns]; (x right, y down) in pixels per frame
            interval of the upright picture in square pixels, scaled to a short side of 240 pixels;
            in whole eighths.
        indices: int64 [segments, frames], picture numbers.
        empty: whether the clip has no P or B pictures; `motion` is then 0 and must not be classified.
        codec: libav's name.
        notes: on what is left out, guessed or damaged in the file.
    """

    motion: npt.NDArray[np.float16]
    indices: npt.NDArray[np.int64]
    empty: bool
    codec: str
    notes: tuple[str, ...] = ()


def read_motion_clip(
    source: Path | MotionDecoder, spec: MotionSpec, segment: Segment | None = None
) -> MotionClip:
    """Read the motion of a clip.

    Keyframes have no motion: the windows cover the other pictures. A damaged picture is replaced by the
    nearest one that was read, and noted.

    Args:
        source: the file, read on one thread, or a MotionDecoder of it that skips damage.
        spec: windows, grid and kind of field.
        segment: the part of the file that the windows cover; None for all of it.

    Raises:
        FileNotFoundError: no such file.
        mv_tools.MotionError: the file is cut short, most of the pictures are damaged, the codec has no
            vectors, or no picture appears in the segment.
    """
    if isinstance(source, MotionDecoder):
        decoder = source
    else:
        decoder = MotionDecoder(source, backend=spec.backend, threads=1, on_damage="skip")
    decoder.packets.require_whole(decoder.source.name)
    keyframes = np.zeros(len(decoder), bool)
    keyframes[decoder.keyframe_indices()] = True
    moving = np.nonzero(~keyframes)[0]
    if segment is not None:
        inside = motion_pictures(decoder, segment)
        moving = moving[np.searchsorted(moving, inside.start) : np.searchsorted(moving, inside.stop)]
    codec = decoder.metadata.codec
    if not len(moving):
        zeros = np.zeros(spec.shape, np.float16), np.zeros(spec.shape[:2], np.int64)
        return MotionClip(*zeros, empty=True, codec=codec, notes=tuple(decoder.notes))
    indices = moving[segment_windows(len(moving), spec.segments, spec.frames, spec.stride)]
    fields: dict[int, npt.NDArray[np.float32]] = {}
    predicted, reader = False, FieldReader(spec, decoder.metadata)
    for frame, field in _fields(decoder, reader, spec, set(indices.ravel().tolist())):
        fields[frame.index] = field
        predicted |= frame.pict_type != "I"
    indices, notes = _replace_damaged(decoder, indices, fields.keys())
    motion = assemble_motion(fields, indices, spec)
    if reader.resized:
        notes.append("the pictures change their size: the motion of each is scaled by its own")
    if segment is not None and decoder.times is None:
        notes.append("the file has no times: the pictures of its segment were counted by the frame rate")
    guessed = np.intersect1d(decoder.guessed, indices)  # the decoder may have read other segments before
    if len(guessed):
        notes.append(f"{len(guessed)} sampled pictures refer to lost ones: distances are guessed")
    return MotionClip(motion, indices, not predicted, codec, (*decoder.notes, *notes))


def assemble_motion(
    fields: Mapping[int, npt.NDArray[np.float32]], indices: npt.NDArray[np.int64], spec: MotionSpec
) -> npt.NDArray[np.float16]:
    """The motion tensor of a clip, from the fields of its pictures.

    Args:
        fields: those of :class:`FieldReader`, by picture number.
        indices: int64 [segments, frames], picture numbers.
        spec: windows, grid and crop.

    Returns:
        float16 [segments, frames, 2, rows, columns], see :attr:`MotionClip.motion`.
    """
    pictures, position = np.unique(indices, return_inverse=True)
    stacked = np.stack([fields[i] for i in pictures.tolist()])
    if spec.crop == "actor":
        stacked = _crop_actor(stacked, pictures, spec.grid)
    return _round(stacked)[position.ravel()].reshape(*indices.shape, *stacked.shape[1:])


def motion_energy(motion: npt.NDArray[np.float16]) -> float:
    """Mean length of the vectors of a motion tensor [..., 2, rows, columns], in its pixels per frame."""
    return float(motion_energies(motion[None])[0])


def motion_energies(motion: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
    """:func:`motion_energy` of each part of motion [N, ..., 2, rows, columns]: float32 [N]."""
    fields = motion.astype(np.float32)
    x, y = fields[..., 0, :, :], fields[..., 1, :, :]
    return np.asarray(np.sqrt(x * x + y * y).reshape(len(motion), -1).mean(axis=1), np.float32)


def _replace_damaged(
    decoder: MotionDecoder, indices: npt.NDArray[np.int64], usable: Collection[int]
) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Replace damaged pictures by the nearest usable ones; return a note if there are any.

    Raises:
        mv_tools.MalformedStream: more than half of the pictures are damaged.
    """
    sampled = np.unique(indices)
    damaged = sampled[~np.isin(sampled, list(usable))]
    if not len(damaged):
        return indices, []
    reasons = {damage.index: damage.message for damage in reversed(decoder.damaged)}
    reason = next((reasons[i] for i in damaged.tolist() if i in reasons), "they could not be read")
    problem = f"the motion of {len(damaged)} of {len(sampled)} sampled pictures can't be read ({reason})"
    if 2 * len(damaged) > len(sampled):
        raise mv_tools.MalformedStream(f"{decoder.source.name}: {problem}")
    intact = np.setdiff1d(sampled, damaged)
    nearest = intact[np.abs(intact[:, None] - damaged[None, :]).argmin(axis=0)]
    replaced = indices.copy()
    for picture, substitute in zip(damaged.tolist(), nearest.tolist(), strict=True):
        replaced[indices == picture] = substitute
    return replaced, [f"{problem}; the nearest ones stand in for them"]


def _round(motion: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """Round to whole eighths of a pixel, exact in float16 below 256 pixels."""
    return (np.round(motion.clip(-_MAX_MOTION, _MAX_MOTION) * STEPS) / STEPS).astype(np.float16)


def _crop_actor(
    fields: npt.NDArray[np.float32], pictures: npt.NDArray[np.int64], grid: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Box around the motion, [N, 2, rows, columns], from fields on a grid of half its cells' size."""
    rows, columns = grid
    box = cut(fields, track(fields, pictures), (2 * rows, 2 * columns))
    return np.asarray(box.reshape(-1, 2, rows, 2, columns, 2).mean(axis=(3, 5)), np.float32)


class PictureGeometry(Protocol):
    """Size of the pictures as shown, in square pixels, and the part of a grid that they cover."""

    @property
    def display_width(self) -> int:
        """Width in pixels."""

    @property
    def display_height(self) -> int:
        """Height in pixels."""

    @property
    def coded_size(self) -> tuple[int, int]:
        """(width, height) of the pictures as they are coded, before they are turned, in whole macroblocks."""

    def region(self, grid_shape: tuple[int, ...]) -> Region:
        """The part of an upright grid of (rows, columns) that is shown."""


class FieldReader:
    """Pooled and scaled fields of pictures, the parts that motion tensors are made of.

    Accumulated fields depend on the pictures before: pass all of them, in presentation order.

    Args:
        spec: grid and kind of field.
        geometry: of the stream, such as its :class:`mv_tools.VideoMetadata`. A picture whose sides differ by
            32 samples or more, which no rounding to blocks explains, is scaled by its own.

    Attributes:
        resized: whether a picture had another size.
    """

    def __init__(self, spec: MotionSpec, geometry: PictureGeometry) -> None:
        width, height = geometry.display_width, geometry.display_height
        self._spec, self._geometry = spec, geometry
        self._scale = _REFERENCE_SIDE / min(width, height)
        self._scales: dict[tuple[int, int, str], float] = {}
        self.resized = False
        self._grid = _reading_grid(spec, width, height)
        self._accumulator = Accumulator()
        self._pooler = FlowPooler(self._grid, region=geometry.region, normalize=spec.normalize_distance)

    def read(self, frame: MotionFrame) -> npt.NDArray[np.float32]:
        """The field of a picture: float32 [2, rows, columns], pixels per frame at a short side of 240."""
        if self._spec.field == "accumulated":
            summed = self._accumulator.push(frame)
            field = pool(summed, self._grid, region=self._geometry.region(summed.shape[1:]))
        else:
            field = self._pooler.flow(frame)
            if self._spec.field == "compensated" and frame.pict_type != "I":
                field = remove_camera_motion(field, self._pooler.inter(frame) > 0.5)
        return field * self._scale_of(frame)

    def _scale_of(self, frame: MotionFrame) -> float:
        """What vectors are multiplied by, from the picture's own size where it is not the stream's."""
        key = (*frame.grid_shape, frame.structure)
        if key not in self._scales:
            rows = frame.grid_shape[0] * (1 if frame.structure == "frame" else 2)
            coded, stream = (4 * frame.grid_shape[1], 4 * rows), self._geometry.coded_size
            other = any(abs(side - usual) >= _ROUNDING for side, usual in zip(coded, stream, strict=True))
            self.resized |= other
            ratios = (coded[0] / stream[0], coded[1] / stream[1])
            across, down = ratios[::-1] if frame.orientation.swaps_sides else ratios
            shown = (self._geometry.display_width * across, self._geometry.display_height * down)
            self._scales[key] = _REFERENCE_SIDE / min(shown) if other else self._scale
        return self._scales[key]


def _reading_grid(spec: MotionSpec, width: int, height: int) -> tuple[int, int]:
    """Rows and columns to divide the frame into; before a crop, square cells of half the box's size."""
    if spec.crop == "none":
        return spec.grid
    cell = max(min(width, height) * spec.crop_side / (2 * spec.grid[0]), 1.0)
    return max(1, round(height / cell)), max(1, round(width / cell))


def _fields(
    decoder: MotionDecoder, reader: FieldReader, spec: MotionSpec, pictures: set[int]
) -> Iterator[tuple[MotionFrame, npt.NDArray[np.float32]]]:
    """Pooled and scaled fields of some pictures; damaged ones are left out."""
    if spec.field == "accumulated":
        frames = _accumulated_pictures(decoder, pictures)
    else:
        frames = decoder.iter_frames_at(sorted(pictures))
    for frame in frames:
        field = reader.read(frame)
        if frame.index in pictures:
            yield frame, field


def _accumulated_pictures(decoder: MotionDecoder, pictures: Collection[int]) -> Iterator[MotionFrame]:
    """The pictures that motion is summed over: from the keyframe before the first chosen to the last."""
    keyframes = [i for i in decoder.keyframe_indices() if i <= min(pictures)]
    return decoder.iter_frames_at(range(keyframes[-1] if keyframes else 0, max(pictures) + 1))
