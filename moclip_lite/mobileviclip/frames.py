"""Frames of a video, cropped and scaled for the model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

import mv_tools

from ..sampling import choose_segments, frame_positions

__all__ = ["Crop", "centre_box", "random_box", "read_clip", "to_tensor"]

Box = tuple[float, float, float, float]
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Crop:
    """Random choice of frames and of one crop for all of them.

    Attributes:
        rng: source of randomness.
        min_area: smallest share of the area that a crop keeps.
    """

    rng: np.random.Generator
    min_area: float = 1.0


def centre_box(width: int, height: int) -> Box:
    """Largest centred square of a picture: (left, top, right, bottom)."""
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def random_box(width: int, height: int, min_area: float, rng: np.random.Generator) -> Box:
    """Random crop of `min_area` to all of the area, ratios from 3:4 to 4:3 (Szegedy et al. 2015)."""
    for _ in range(10):
        area = width * height * rng.uniform(min_area, 1)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if w <= width and h <= height:
            left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
            return left, top, left + w, top + h
    return centre_box(width, height)


def to_tensor(picture: Picture, side: int, box: Box | None = None) -> Tensor:
    """Crop a picture and scale it, bilinear with antialiasing.

    The picture is cropped before it is scaled, so that no aspect ratio needs more memory than the result.

    Args:
        picture: uint8 [H, W, 3].
        side: height and width of the result.
        box: the crop; by default the centred square, which equals MobileCLIP's resize and centre crop.

    Returns:
        float32 [3, side, side] in 0..1.
    """
    height, width = picture.shape[:2]
    box = box or centre_box(width, height)
    scaled = Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR, box=box)
    return torch.from_numpy(np.array(scaled)).permute(2, 0, 1).float() / 255


def read_clip(
    path: Path, frames: int, side: int, *, start: int = 0, stop: int | None = None, crop: Crop | None = None
) -> Tensor:
    """Read frames of a video or of a part of it; one full-size picture is in memory at a time.

    Args:
        path: the video.
        frames, side: T and S.
        start, stop: the part, in frames; a part shorter than T repeats its last frame.
        crop: None takes the midpoints of T equal segments and the centred square; otherwise a frame of each
            segment and one crop for all frames are drawn at random.

    Returns:
        float32 [T, 3, S, S] in 0..1.

    Raises:
        FileNotFoundError: no such file.
        mv_tools.MotionError: the file can't be read.
    """
    total = (mv_tools.count_frames(path) if stop is None else stop) - start
    if crop is None or total <= frames:
        positions = start + frame_positions(total, frames)
    else:
        positions = start + choose_segments(total, frames, crop.rng)
    box: Box | None = None
    tensors: dict[int, Tensor] = {}
    for position, picture in mv_tools.iter_rgb_at(path, positions.tolist()):
        if crop is not None and box is None:
            box = random_box(picture.shape[1], picture.shape[0], crop.min_area, crop.rng)
        tensors[position] = to_tensor(picture, side, box)
    return torch.stack([tensors[position] for position in positions.tolist()])
