"""Temporal modules, which make an image encoder spatiotemporal: convolutions over time and joint attention.

Frames are stacked in the batch dimension, [B T, C, H, W]. A new module leaves frames independent, so that a
new model equals the image model on each frame (with attention: on a clip whose frames are equal).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["JointAttention", "SpatioTemporalRepMixer", "TemporalMixer", "TemporalPositions"]

KERNEL = 3  # upstream's is unknown; the size of a published export fits 3 taps in every RepMixer block


class TemporalMixer(nn.Module):
    """Depthwise convolution over time with a skip connection: x + BN(DWConv1D(x)).

    The paper's form, DWConv1D(BN(X)) + X, can't be folded exactly: its zero padding follows the norm, so that
    the clip's first and last frame would be wrong by the norm's shift. With the norm after the convolution
    the folded kernel, delta + (gamma/sigma) w with bias beta - mu gamma/sigma, is exact on every frame. gamma
    starts at zero, which makes the module the identity.

    Args:
        dim: channels.
        frames: T.
    """

    def __init__(self, dim: int, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.conv: nn.Conv1d | None = nn.Conv1d(dim, dim, KERNEL, padding=1, groups=dim, bias=False)
        self.norm: nn.BatchNorm2d | None = nn.BatchNorm2d(dim)
        nn.init.normal_(self.conv.weight, std=KERNEL**-0.5)
        nn.init.zeros_(self.norm.weight)
        self.register_parameter("folded_weight", None)
        self.register_parameter("folded_bias", None)

    def forward(self, x: Tensor) -> Tensor:
        """[B T, C, H, W] -> the same."""
        if self.conv is None or self.norm is None:
            return mix_frames(x, self.folded_weight, self.frames, self.folded_bias)
        mixed: Tensor = self.norm(mix_frames(x, self.conv.weight, self.frames))
        return x + mixed

    def reparameterize(self) -> None:
        """Fold skip, convolution and norm into one convolution."""
        if self.conv is None or self.norm is None:
            return
        norm = self.norm
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        weight = self.conv.weight * scale.view(-1, 1, 1)
        weight[:, :, KERNEL // 2] += 1
        self.folded_weight = nn.Parameter(weight.detach())
        self.folded_bias = nn.Parameter((norm.bias - norm.running_mean * scale).detach())
        self.conv = self.norm = None


def mix_frames(x: Tensor, weight: Tensor, frames: int, bias: Tensor | None = None) -> Tensor:
    """Depthwise convolution over time, zero-padded at the ends.

    Channels-last frames are, without a copy, a channels-last picture [B, C, T, H W], on which a depthwise
    convolution reads memory once. In other layouts three scaled sums of frames avoid a copy.

    Args:
        x: [B T, C, H, W].
        weight: [C, 1, 3]: weights of the previous, the current and the next frame.
        frames: T.
        bias: [C].
    """
    clips = torch.unflatten(x, 0, (-1, frames))
    # In-place sums would be exported as scatter operations.
    if torch.compiler.is_exporting() or x.is_contiguous(memory_format=torch.channels_last):
        tall = clips.flatten(3).transpose(1, 2)
        padding = (KERNEL // 2, 0)
        mixed = functional.conv2d(tall, weight.unsqueeze(-1), bias, padding=padding, groups=len(weight))
        return mixed.transpose(1, 2).reshape(x.shape)
    previous, current, following = weight.view(1, 1, weight.shape[0], 1, 1, KERNEL).unbind(-1)
    mixed = clips * current if bias is None else torch.addcmul(bias.view(-1, 1, 1), clips, current)
    mixed[:, 1:].addcmul_(clips[:, :-1], previous)
    mixed[:, :-1].addcmul_(clips[:, 1:], following)
    return mixed.flatten(0, 1)


class SpatioTemporalRepMixer(nn.Module):
    """Temporal convolution, followed by the image model's 2-D RepMixer.

    Args:
        spatial: timm's RepMixer.
        dim: channels.
        frames: T.
    """

    def __init__(self, spatial: nn.Module, dim: int, frames: int) -> None:
        super().__init__()
        self.temporal = TemporalMixer(dim, frames)
        self.spatial = spatial

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.spatial(self.temporal(x))
        return mixed


class TemporalPositions(nn.Module):
    """Learned vector per frame, added to the image model's convolutional position encoding.

    It starts at zero. The shape [1, T, C] is ours; upstream's is unknown.

    Args:
        spatial: timm's RepConditionalPosEnc.
        dim: channels.
        frames: T.
    """

    def __init__(self, spatial: nn.Module, dim: int, frames: int) -> None:
        super().__init__()
        self.spatial = spatial
        self.temporal_embedding = nn.Parameter(torch.zeros(1, frames, dim))

    def forward(self, x: Tensor) -> Tensor:
        frames = self.temporal_embedding.shape[1]
        clips = torch.unflatten(self.spatial(x), 0, (-1, frames)) + self.temporal_embedding[..., None, None]
        return clips.flatten(0, 1)


class JointAttention(nn.Module):
    """The image model's attention, over the tokens of all frames jointly.

    The frames are stacked vertically into one tall picture for the image model's layer.

    Args:
        attention: timm's Attention, which takes [B, C, H, W].
        frames: T.
    """

    def __init__(self, attention: nn.Module, frames: int) -> None:
        super().__init__()
        self.attention = attention
        self.frames = frames

    def forward(self, x: Tensor) -> Tensor:
        height = x.shape[2]
        tall = torch.unflatten(x, 0, (-1, self.frames)).transpose(1, 2).flatten(2, 3)
        attended: Tensor = self.attention(tall)
        return torch.unflatten(attended, 2, (self.frames, height)).transpose(1, 2).flatten(0, 1)
