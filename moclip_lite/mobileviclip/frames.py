"""Pictures of a video as the model takes them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

import mv_tools

from ..sampling import choose_segments, frame_positions

__all__ = ["centre_box", "random_box", "read_clip", "to_tensor"]

Box = tuple[float, float, float, float]
Picture = npt.NDArray[np.uint8]


def centre_box(width: int, height: int) -> Box:
    """The largest square in the middle of a picture: (left, top, right, bottom)."""
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def random_box(width: int, height: int, smallest: float, rng: np.random.Generator) -> Box:
    """A random crop of `smallest` to all of the area, 3:4 to 4:3 (Szegedy et al. 2015)."""
    for _ in range(10):
        area = width * height * rng.uniform(smallest, 1)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if w <= width and h <= height:
            left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
            return left, top, left + w, top + h
    return centre_box(width, height)


def to_tensor(picture: Picture, side: int, box: Box | None = None) -> Tensor:
    """A part of a picture, bilinear with antialiasing.

    The part is cut before it is scaled, so that no aspect ratio asks for more memory than the result.

    Args:
        picture: uint8 [H, W, 3].
        side: of the result.
        box: the part; the middle square by default, which is MobileCLIP's resize and centre crop.

    Returns:
        float32 [3, side, side] in 0..1.
    """
    height, width = picture.shape[:2]
    part = box or centre_box(width, height)
    scaled = Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR, box=part)
    return torch.from_numpy(np.array(scaled)).permute(2, 0, 1).float() / 255


def read_clip(
    path: Path,
    frames: int,
    side: int,
    *,
    start: int = 0,
    stop: int | None = None,
    rng: np.random.Generator | None = None,
    smallest: float = 1.0,
) -> Tensor:
    """Frames of a video, or of a stretch of it; one full-size picture is in memory at a time.

    Args:
        path: of the file.
        frames, side: T and S.
        start, stop: the stretch, in frames; a stretch shorter than T repeats its last frame.
        rng: None for the midpoints of equal parts and the middle square; else frames are drawn within
            the parts, and one random crop for all of them.
        smallest: share of the area that a random crop keeps at least.

    Returns:
        float32 [T, 3, S, S] in 0..1.

    Raises:
        FileNotFoundError: no such file.
        mv_tools.MotionError: it can't be read.
    """
    total = (mv_tools.count_frames(path) if stop is None else stop) - start
    if rng is None or total <= frames:
        positions = start + frame_positions(total, frames)
    else:
        positions = start + choose_segments(total, frames, rng)
    wanted, box = positions.tolist(), None
    found: dict[int, Tensor] = {}
    for position, picture in mv_tools.iter_rgb_at(path, wanted):
        if rng is not None and box is None:
            box = random_box(picture.shape[1], picture.shape[0], smallest, rng)
        found[position] = to_tensor(picture, side, box)
    return torch.stack([found[position] for position in wanted])
