"""Motion networks: an encoder of windows and a classifier on the mean of their features.

``motion_small`` and ``motion_shift`` are this project's, residual networks on the raw field. The first stacks
a window's fields as channels and mixes neighbouring windows with a temporal convolution; the second encodes
each field and shifts channels in time, for windows of about 16 fields. ``motion_fields`` is its control
without the shift.

``efficientnet_b0`` is MoCLIP-Lite's (arXiv 2509.17084): timm's EfficientNet-B0 at 224x224 with a 2-channel
stem and BatchNorm on the input, one vector field per segment, average over segments.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ConfigError
from .encoders import EfficientNetEncoder, FieldEncoder, ShiftEncoder, SmallEncoder
from .pretrained import load_pretrained
from .settings import MotionSettings

__all__ = ["MotionNet", "build_motion_net", "create_motion_net", "list_motion_nets"]

_DEFAULT: Final = MotionSettings()
_MIN_BFLOAT16_SIDE: Final = 16
"""On smaller grids maps shrink to one cell, where oneDNN's strided bfloat16 convolutions return garbage."""


def _full_precision(device: torch.device) -> AbstractContextManager[object]:
    return torch.autocast(device.type, enabled=False) if device.type == "cpu" else nullcontext()


class TemporalMix(nn.Module):
    """Residual depthwise convolution over the segments: [B, T, D] -> [B, T, D]; starts as identity."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(dim, dim, 3, padding=1, groups=dim)
        # The gain starts at 0, not the convolution: the gradient of a ReLU of zeros is zero.
        self.gain = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.conv(x.transpose(1, 2))
        return x + self.gain * functional.relu(mixed.transpose(1, 2))


class MotionNet(nn.Module):
    """Classifier of clips by the mean feature of their windows.

    Args:
        encoder: [N, 2 L, H, W] -> [N, feature_dim].
        feature_dim: length of a clip's feature.
        num_classes: length of its scores.
        dropout: before the classifier.
        temporal: mix neighbouring segments before averaging them.
    """

    def __init__(
        self, encoder: nn.Module, feature_dim: int, num_classes: int, dropout: float, temporal: bool
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.feature_dim = feature_dim
        self.mix: nn.Module = TemporalMix(feature_dim) if temporal else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(feature_dim, num_classes)

    def encode(self, motion: Tensor) -> Tensor:
        """[B, T, L, 2, H, W], pixels per frame -> [B, T, feature_dim] of segments that see no other."""
        batch, segments, frames, channels, height, width = motion.shape
        flat = motion.reshape(batch * segments, frames * channels, height, width)
        with _full_precision(motion.device) if min(height, width) < _MIN_BFLOAT16_SIDE else nullcontext():
            encoded: Tensor = self.encoder(flat)
        return encoded.reshape(batch, segments, -1)

    def tokens(self, motion: Tensor) -> Tensor:
        """[B, T, L, 2, H, W] in pixels per frame -> a feature per segment, [B, T, feature_dim]."""
        encoded = self.encode(motion)
        with _full_precision(motion.device) if min(motion.shape[-2:]) < _MIN_BFLOAT16_SIDE else nullcontext():
            mixed: Tensor = self.mix(encoded)
        return mixed

    def features(self, motion: Tensor) -> Tensor:
        """[B, T, L, 2, H, W] in pixels per frame -> [B, feature_dim], the mean of the tokens."""
        return self.tokens(motion).mean(dim=1)

    def forward(self, motion: Tensor) -> Tensor:
        """[B, T, L, 2, H, W] in pixels per frame -> scores [B, num_classes]."""
        scores: Tensor = self.classifier(self.dropout(self.features(motion)))
        return scores


_ENCODERS: Final[dict[str, type[SmallEncoder | FieldEncoder]]] = {
    "motion_small": SmallEncoder,
    "motion_shift": ShiftEncoder,
    "motion_fields": FieldEncoder,
}
"""Encoders that are trained from random weights; efficientnet_b0 may start from ImageNet."""


def list_motion_nets() -> list[str]:
    """Names that :func:`create_motion_net` takes."""
    return sorted([*_ENCODERS, "efficientnet_b0"])


def create_motion_net(
    name: str,
    num_classes: int,
    *,
    frames: int = _DEFAULT.frames,
    width: int = _DEFAULT.width,
    dropout: float = _DEFAULT.dropout,
    pretrained: bool | Path = False,
) -> MotionNet:
    """Build a motion network.

    Args:
        name: one of :func:`list_motion_nets`.
        num_classes: classes to tell apart.
        frames: consecutive vector fields per segment (L).
        width: channels of the first stage (not efficientnet_b0).
        dropout: before the classifier.
        pretrained: start from ImageNet (efficientnet_b0; downloaded by timm), or from a file,
            see :mod:`moclip_lite.motion.pretrained`.

    Raises:
        ConfigError: an unknown name.
        WeightsUnavailable: the pretrained weights are unavailable.
        CheckpointError: the file does not fit.
    """
    if name not in list_motion_nets():
        raise ConfigError(f"motion.net must be one of {list_motion_nets()}, got {name!r}")
    if name == "efficientnet_b0":
        encoder: SmallEncoder | FieldEncoder | EfficientNetEncoder = EfficientNetEncoder(
            frames, pretrained is True
        )
    elif pretrained is True:
        raise ConfigError(f"{name} has no pretrained weights; set motion.pretrained=false, or to a file")
    else:
        encoder = _ENCODERS[name](frames, width)
    network = MotionNet(encoder, encoder.feature_dim, num_classes, dropout, temporal=name == "motion_small")
    if isinstance(pretrained, Path):
        load_pretrained(network, name, pretrained)
    return network.to(memory_format=torch.channels_last)  # 1.5 times faster on CPUs


def build_motion_net(
    settings: MotionSettings, num_classes: int, *, pretrained: bool | None = None
) -> MotionNet:
    """Build the network that the settings describe.

    Args:
        settings: names and sizes it.
        num_classes: classes to tell apart.
        pretrained: in place of ``settings.start``; False where weights are loaded next.

    Raises:
        ConfigError: an unknown name.
        WeightsUnavailable: the pretrained weights are unavailable.
    """
    return create_motion_net(
        settings.net,
        num_classes,
        frames=settings.frames,
        width=settings.width,
        dropout=settings.dropout,
        pretrained=settings.start if pretrained is None else pretrained,
    )
