"""What the small encoders are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Residual", "compress", "stages", "stem", "summary"]


def compress(motion: Tensor) -> Tensor:
    """Pixels per frame to network units: linear below a pixel, logarithmic above; 0 stays 0."""
    return torch.asinh(motion)


def summary(maps: Tensor) -> Tensor:
    """[N, C, h, w] -> [N, 2 C]: the mean tells how much moves, the maximum what moves most.

    Small actors need the latter.
    """
    return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)


def stem(channels: int, width: int) -> nn.Sequential:
    """The first convolution: [N, channels, H, W] -> [N, width, H, W]."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
    )


def stages(width: int, before: nn.Module | None = None) -> nn.Sequential:
    """Four residual stages of `width` x 1 to 4 channels, halving rows and columns three times.

    Args:
        width: channels that come in.
        before: applied at the start of each stage's residual branch.
    """
    blocks: list[nn.Module] = []
    channels = width
    for stage in range(4):
        after = (stage + 1) * width
        blocks.append(Residual(channels, after, stride=1 if stage == 0 else 2, before=before))
        channels = after
    return nn.Sequential(*blocks)


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016)."""

    def __init__(self, channels: int, after: int, stride: int, before: nn.Module | None = None) -> None:
        super().__init__()
        self.before = before if before is not None else nn.Identity()
        self.first = nn.Conv2d(channels, after, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = functional.relu(self.first_norm(self.first(self.before(x))))
        return functional.relu(self.second_norm(self.second(out)) + self.shortcut(x))
