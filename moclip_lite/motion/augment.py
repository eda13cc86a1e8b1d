"""Crops and flips of motion tensors: random ones for training, fixed ones for testing.

A horizontal flip mirrors the field and negates x; no motion stays exactly 0. A crop that is enlarged to the
full grid enlarges its vectors as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from ..parallel.ranks import Share

__all__ = ["CROPS", "Draws", "RandomView", "crop", "flip", "views"]

_SIDE: Final = 0.875
CROPS: Final[dict[int, tuple[tuple[float, float, float], ...]]] = {
    1: ((1.0, 0.0, 0.0),),
    3: ((1.0, 0.0, 0.0), (_SIDE, 0.0, -1.0), (_SIDE, 0.0, 1.0)),
    5: ((_SIDE, -1.0, -1.0), (_SIDE, -1.0, 1.0), (_SIDE, 0.0, 0.0), (_SIDE, 1.0, -1.0), (_SIDE, 1.0, 1.0)),
}
"""Test crops by their number: (side, vertical, horizontal), positions from -1 (top, left) to 1. One is the
whole frame, three add left and right, five are the corners and the centre (as in the paper)."""


def flip(motion: Tensor) -> Tensor:
    """Mirror horizontally: [..., 2, H, W] -> the same shape, x negated."""
    mirrored = motion.flip(-1)
    sign = motion.new_tensor([-1.0, 1.0])[:, None, None]
    return mirrored * sign


def crop(motion: Tensor, side: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """Cut a part out of each clip and enlarge it to the full grid.

    Args:
        motion: [B, T, L, 2, H, W].
        side: [B], share of the height and width that is kept.
        vertical, horizontal: [B], position from -1 to 1 within the remaining space.

    Returns:
        [B, T, L, 2, H, W]; vectors divided by `side`.
    """
    batch, *middle, channels, height, width = motion.shape
    flat = motion.reshape(batch, -1, height, width)
    theta = torch.zeros(batch, 2, 3, dtype=motion.dtype, device=motion.device)
    theta[:, 0, 0] = theta[:, 1, 1] = side
    theta[:, 0, 2] = horizontal * (1 - side)
    theta[:, 1, 2] = vertical * (1 - side)
    positions = functional.affine_grid(theta, [batch, flat.shape[1], height, width], align_corners=False)
    cropped = functional.grid_sample(
        flat, positions, mode="bilinear", padding_mode="border", align_corners=False
    )
    cropped = cropped / side[:, None, None, None]
    return cropped.reshape(batch, *middle, channels, height, width)


@dataclass(frozen=True)
class Draws:
    """Random parameters of a batch of views, each a float32 tensor [B].

    Attributes:
        side, vertical, horizontal: of the crop, see :func:`crop`.
        mirrored: 1 for a flip, else 0.
        speed: factor of the motion.
    """

    side: Tensor
    vertical: Tensor
    horizontal: Tensor
    mirrored: Tensor
    speed: Tensor

    def of(self, part: Share) -> Draws:
        """The parameters of a process' part of the batch."""
        return Draws(*(part.even(value) for value in vars(self).values()))


@dataclass(frozen=True, kw_only=True)
class RandomView:
    """Random flip, crop and speed for training.

    Attributes:
        flip: probability of a horizontal flip.
        min_side: smallest share of the frame that a crop keeps; 1 for no cropping.
        speed: motion is multiplied by a factor from 1 / speed to speed; 1 for none.
    """

    flip: float = 0.5
    min_side: float = 0.75
    speed: float = 1.2

    def draw(self, batch: int, generator: torch.Generator) -> Draws:
        """Draw the parameters of `batch` clips from a generator on the CPU."""

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(batch, generator=generator)

        side, vertical, horizontal = torch.ones(batch), torch.zeros(batch), torch.zeros(batch)
        if self.min_side < 1:
            side, vertical, horizontal = uniform(self.min_side, 1), uniform(-1, 1), uniform(-1, 1)
        mirrored = (uniform(0, 1) < self.flip).float()
        speed = self.speed ** uniform(-1, 1) if self.speed > 1 else torch.ones(batch)
        return Draws(side, vertical, horizontal, mirrored, speed)

    def apply(self, motion: Tensor, draws: Draws) -> Tensor:
        """[B, T, L, 2, H, W] -> the same shape."""
        if self.min_side < 1:
            motion = crop(motion, draws.side, draws.vertical, draws.horizontal)
        per_clip = (slice(None), *(None,) * 5)
        motion = torch.where(draws.mirrored[per_clip] > 0, flip(motion), motion)
        return motion * draws.speed[per_clip] if self.speed > 1 else motion

    def __call__(self, motion: Tensor, generator: torch.Generator) -> Tensor:
        """Draw and apply: [B, T, L, 2, H, W] -> the same shape."""
        return self.apply(motion, self.draw(motion.shape[0], generator))


def views(motion: Tensor, crops: int, flips: int) -> Iterator[Tensor]:
    """The fixed test views of a batch: `crops` x `flips` tensors of its shape.

    Raises:
        ValueError: `crops` is not 1, 3 or 5, or `flips` not 1 or 2.
    """
    if crops not in CROPS:
        raise ValueError(f"crops must be one of {sorted(CROPS)}, got {crops}")
    if flips not in (1, 2):
        raise ValueError(f"flips must be 1 or 2, got {flips}")
    for side, vertical, horizontal in CROPS[crops]:
        full = motion.new_ones(motion.shape[0])
        view = motion if side == 1 else crop(motion, side * full, vertical * full, horizontal * full)
        yield view
        if flips == 2:
            yield flip(view)
