"""From a video file to the motion tensor that the network sees."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

import mv_tools
from mv_tools import Accumulator, MotionDecoder, MotionFrame, flow, inter_mask, pool, remove_camera_motion

from ..sampling import segment_windows
from .crop_actor import cut, track
from .settings import MotionSpec

__all__ = ["STEPS", "MotionClip", "read_motion_clip"]

STEPS: Final = 8  # vectors are rounded to so many parts of a pixel: half a quarter sample

_REFERENCE_SIDE: Final = 240  # UCF101's height: vectors of other sizes are scaled to it
_MOST: Final = 32767 / STEPS  # pixels; what the cache can hold


@dataclass(frozen=True)
class MotionClip:
    """Motion of one clip.

    Attributes:
        motion: float16 [segments, frames, 2, rows, columns]; (x right, y down) in pixels per frame
            interval of the upright picture in square pixels, its short side 240 pixels; in whole eighths.
        indices: int64 [segments, frames], the pictures used.
        empty: the clip has no P or B pictures; `motion` is 0 and must not be classified.
        codec: libav's name of it.
        notes: what is left out of the file, guessed about it or damaged in it.
    """

    motion: npt.NDArray[np.float16]
    indices: npt.NDArray[np.int64]
    empty: bool
    codec: str
    notes: tuple[str, ...] = ()


def read_motion_clip(source: Path | MotionDecoder, spec: MotionSpec) -> MotionClip:
    """Read the motion of a clip, one picture in memory at a time.

    Args:
        source: the file, read on one thread, or a MotionDecoder of it that skips damage.
        spec: what to read.

    Keyframes carry no motion: the windows run over the other pictures. In place of a damaged picture
    stands the nearest one that was read; the notes tell.

    Raises:
        FileNotFoundError: no such file.
        mv_tools.MotionError: the file is cut short, most of the pictures are damaged, or the codec has
            no vectors.
    """
    if isinstance(source, MotionDecoder):
        decoder = source
    else:
        decoder = MotionDecoder(source, backend=spec.backend, threads=1, on_damage="skip")
    decoder.packets.require_whole(decoder.source.name)
    keyframes = np.zeros(len(decoder), bool)
    keyframes[decoder.keyframe_indices()] = True
    moving = np.nonzero(~keyframes)[0]
    if not len(moving):
        nothing = np.zeros(spec.shape, np.float16), np.zeros(spec.shape[:2], np.int64)
        return MotionClip(*nothing, empty=True, codec=decoder.metadata.codec, notes=tuple(decoder.notes))
    indices = moving[segment_windows(len(moving), spec.segments, spec.frames)]
    fields: dict[int, npt.NDArray[np.float32]] = {}
    predicted = False
    for frame, field in _fields(decoder, spec, set(indices.ravel().tolist())):
        fields[frame.index] = field
        predicted |= frame.pict_type != "I"
    indices, notes = _replace_damaged(decoder, indices, fields.keys())
    pictures, place = np.unique(indices, return_inverse=True)
    stacked = np.stack([fields.pop(i) for i in pictures.tolist()])
    if spec.crop == "actor":
        stacked = _follow(stacked, pictures, spec.grid)
    motion = _round(stacked)[place.ravel()].reshape(spec.shape)
    if decoder.guessed:
        notes.append(f"{len(decoder.guessed)} sampled pictures refer to lost ones: distances are guessed")
    return MotionClip(motion, indices, not predicted, decoder.metadata.codec, (*decoder.notes, *notes))


def _replace_damaged(
    decoder: MotionDecoder, indices: npt.NDArray[np.int64], usable: Collection[int]
) -> tuple[npt.NDArray[np.int64], list[str]]:
    """The nearest usable picture in place of each damaged one, and a note if there are any.

    Raises:
        mv_tools.MalformedStream: more than half of the pictures are damaged.
    """
    wanted = np.unique(indices)
    damaged = wanted[~np.isin(wanted, list(usable))]
    if not len(damaged):
        return indices, []
    reason = next((damage.message for damage in decoder.damaged), "they could not be read")
    words = f"{len(damaged)} of {len(wanted)} sampled pictures are damaged ({reason})"
    if 2 * len(damaged) > len(wanted):
        raise mv_tools.MalformedStream(f"{decoder.source.name}: {words}")
    known = np.setdiff1d(wanted, damaged)
    nearest = known[np.abs(known[:, None] - damaged[None, :]).argmin(axis=0)]
    replaced = indices.copy()
    for bad, good in zip(damaged.tolist(), nearest.tolist(), strict=True):
        replaced[indices == bad] = good
    return replaced, [f"{words}; the nearest ones stand in for them"]


def _round(motion: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """To whole eighths of a pixel, exact in float16 below 256 pixels."""
    return (np.round(motion.clip(-_MOST, _MOST) * STEPS) / STEPS).astype(np.float16)


def _follow(
    fields: npt.NDArray[np.float32], pictures: npt.NDArray[np.int64], grid: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """The box around the motion, [N, 2, rows, columns], from fields of half its cells' size."""
    rows, columns = grid
    box = cut(fields, track(fields, pictures), (2 * rows, 2 * columns))
    return np.asarray(box.reshape(-1, 2, rows, 2, columns, 2).mean(axis=(3, 5)), np.float32)


def _reading_grid(spec: MotionSpec, meta: mv_tools.VideoMetadata) -> tuple[int, int]:
    """Into how many cells the frame is divided; to be cropped, square ones of half the box's size."""
    if spec.crop == "none":
        return spec.grid
    width, height = meta.display_width, meta.display_height
    cell = max(min(width, height) * spec.crop_side / (2 * spec.grid[0]), 1.0)
    return max(1, round(height / cell)), max(1, round(width / cell))


def _fields(
    decoder: MotionDecoder, spec: MotionSpec, wanted: set[int]
) -> Iterator[tuple[MotionFrame, npt.NDArray[np.float32]]]:
    """Pooled fields of the wanted pictures."""
    meta = decoder.metadata
    grid = _reading_grid(spec, meta)
    scale = _REFERENCE_SIDE / min(meta.display_width, meta.display_height)

    def shrink(field: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return pool(field, grid, region=meta.region(field.shape[1:]))

    if spec.field == "accumulated":
        accumulator = Accumulator()
        for frame in decoder:
            total = accumulator.push(frame)
            if frame.index in wanted:
                yield frame, shrink(total) * scale
        return
    for frame in decoder.iter_frames_at(sorted(wanted)):
        field = shrink(flow(frame, normalize=spec.normalize_distance))
        if spec.field == "compensated" and frame.pict_type != "I":
            mask = shrink(inter_mask(frame)[None].astype(np.float32))[0] > 0.5
            field = remove_camera_motion(field, mask)
        yield frame, field * scale
