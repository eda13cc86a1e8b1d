"""Masked-motion pre-training: the encoder predicts hidden motion before it learns classes.

As in VideoMAE (Tong et al., arXiv 2203.12602) the same patches are hidden in all fields of a window, so that they
can't be copied from the previous field. The target is a token per cell (still, or one of 8 directions at 2 speeds),
so that the training loop's cross-entropy applies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ConfigError
from ..training.classification import Batch
from .batches import MotionFeed
from .encoders import FieldEncoder, SmallEncoder
from .network import MotionNet

__all__ = ["TOKENS", "MaskedFeed", "MaskedMotion", "hide", "tokens"]

TOKENS: Final = 17
_MIN_MOTION: Final = 0.4  # pixels per frame
_FAST: Final = 2.0
_PATCH: Final = 4  # cells
_HIDDEN: Final = 0.5  # share of the patches
_VISIBLE: Final = -100  # ignored by cross_entropy


def tokens(motion: Tensor) -> Tensor:
    """[..., 2, H, W] in pixels per frame -> int64 [..., H, W]: 0 still, 1 to 8 slow, 9 to 16 fast."""
    x, y = motion.unbind(dim=-3)
    size = torch.hypot(x, y)
    direction = torch.round(torch.atan2(y, x) / (math.pi / 4)).long() % 8
    return torch.where(size < _MIN_MOTION, 0, 1 + direction + 8 * (size >= _FAST).long())


def hide(motion: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Hide patches of windows.

    Args:
        motion: [B, T, L, 2, H, W].
        generator: draws them.

    Returns:
        The windows with hidden cells zero, and the tokens of the hidden cells on a grid of half as
        many rows and columns, int64 [B * T * L, H // 2, W // 2]; -100 where motion is visible.
    """
    *leading, _, _, height, width = motion.shape
    grid = (-(-height // _PATCH), -(-width // _PATCH))
    patches = torch.rand(*leading, 1, 1, *grid, generator=generator) < _HIDDEN
    hidden = patches.repeat_interleave(_PATCH, dim=-2).repeat_interleave(_PATCH, dim=-1)
    hidden = hidden[..., :height, :width].to(motion.device)
    fields = functional.avg_pool2d(motion.reshape(-1, 2, height, width), 2)
    cells = hidden[..., 0, 1::2, 1::2].expand(*motion.shape[:3], *fields.shape[-2:]).flatten(0, 2)
    return motion.masked_fill(hidden, 0), torch.where(cells, tokens(fields), _VISIBLE)


class MaskedMotion(nn.Module):
    """A motion network's encoder with a small decoder of tokens; the encoder is trained in place.

    Raises:
        ConfigError: the network's encoder has no feature maps to decode.
    """

    def __init__(self, net: MotionNet, frames: int, width: int = 64) -> None:
        super().__init__()
        if not isinstance(net.encoder, (SmallEncoder, FieldEncoder)):
            raise ConfigError("motion.pretrain_epochs is not for efficientnet_b0; set it to 0")
        self.encoder = net.encoder
        self.fields = frames if isinstance(net.encoder, SmallEncoder) else 1  # decoded from one map
        self.spread = nn.Conv2d(self.encoder.map_dim, width, 1)
        self.decode = nn.Conv2d(width, self.fields * TOKENS, 3, padding=1)

    def forward(self, motion: Tensor) -> Tensor:
        """[B, T, L, 2, H, W] -> scores of tokens [B * T * L, TOKENS, H // 2, W // 2]."""
        *_, height, width = motion.shape
        maps = self.encoder.maps(motion.flatten(2, 3).flatten(0, 1)).flatten(0, 1)
        grid = (height // 2, width // 2)
        spread = functional.interpolate(self.spread(maps), size=grid, mode="bilinear", align_corners=False)
        scores: Tensor = self.decode(functional.relu(spread))
        return scores.reshape(-1, TOKENS, *grid)


class MaskedFeed:
    """Masked windows of two feeds; the labels of clips are not used.

    Args:
        train: augmented windows of the training clips.
        val: plain windows of the validation clips.
        seed: of the masks.
    """

    def __init__(self, train: MotionFeed, val: MotionFeed, seed: int) -> None:
        self._train, self._val, self._seed = train, val, seed

    @property
    def steps(self) -> int:
        """Batches of a pass over the training clips."""
        return self._train.steps

    def train_batches(self, epoch: int) -> Iterator[Batch]:
        """Each training clip once, with masks that depend on (seed, epoch)."""
        return self._masked(self._train, epoch)

    def validate(self, model: nn.Module) -> tuple[float, float]:
        """(correctly predicted hidden tokens in percent, their cross-entropy), with the same masks each time."""
        device = next(model.parameters()).device
        correct, loss, count = 0, 0.0, 0
        with torch.inference_mode():
            for (motion,), labels in self._masked(self._val, 0):
                target = labels.to(device)
                scores = cast(Tensor, model(motion.to(device))).float()
                loss += float(
                    functional.cross_entropy(scores, target, reduction="sum", ignore_index=_VISIBLE)
                )
                correct += int((scores.argmax(dim=1) == target).sum())
                count += int((target != _VISIBLE).sum())
        return 100 * correct / max(count, 1), loss / max(count, 1)

    def _masked(self, feed: MotionFeed, epoch: int) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(self._seed * 100_003 + epoch)
        for (motion,), _ in feed.train_batches(epoch):
            masked, labels = hide(motion, generator)
            yield (masked,), labels
