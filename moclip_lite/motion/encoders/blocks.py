"""Layers of the small encoders."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Residual", "compress", "mean_max_pool", "stages", "stem"]


def compress(motion: Tensor) -> Tensor:
    """Compress pixels per frame by asinh: linear below a pixel, logarithmic above; 0 stays 0.

    Computed from log1p, which PyTorch and ONNX Runtime vectorise;
    their asinh takes a fifth of the network's time.
    """
    size = motion.abs()
    return motion.sign() * torch.log1p(size + size * size / (1 + torch.sqrt(1 + size * size)))


def mean_max_pool(maps: Tensor) -> Tensor:
    """[N, C, h, w] -> [N, 2 C]: the mean, and the maximum, which keeps small actors visible."""
    return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)


def stem(channels: int, width: int) -> nn.Sequential:
    """The first convolution: [N, channels, H, W] -> [N, width, H, W]."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
    )


def stages(width: int, before: nn.Module | None = None) -> nn.Sequential:
    """Four residual stages of `width` x 1 to 4 channels, halving rows and columns three times.

    Args:
        width: input channels.
        before: applied at the start of each stage's residual branch.
    """
    channels = [width, width, 2 * width, 3 * width, 4 * width]
    return nn.Sequential(
        *(
            Residual(channels[stage], channels[stage + 1], stride=1 if stage == 0 else 2, before=before)
            for stage in range(4)
        )
    )


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int, before: nn.Module | None = None) -> None:
        super().__init__()
        self.before = before if before is not None else nn.Identity()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.relu(self.first_norm(self.first(self.before(x))))
        return functional.relu(self.second_norm(self.second(hidden)) + self.shortcut(x))
