"""The motion networks: a small one on block-resolution motion, and the paper's.

``motion_small`` is ours: a residual network on the raw field, several consecutive vectors stacked
as channels, a temporal convolution over the segments, 0.4 M parameters.

``efficientnet_b0`` is MoCLIP-Lite's (arXiv 2509.17084): timm's EfficientNet-B0 at 224x224 with a
2-channel stem and BatchNorm on the input, one vector field per segment, average over segments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from .errors import ConfigError, WeightsUnavailable

__all__ = ["MotionNet", "create_motion_net", "freeze", "list_motion_nets"]


class SmallEncoder(nn.Module):
    """Residual CNN on stacked vectors: [N, 2 L, H, W] -> [N, feature_dim]."""

    def __init__(self, frames: int, width: int = 32) -> None:
        super().__init__()
        widths = (width, 2 * width, 3 * width, 4 * width)
        self.stem = nn.Sequential(
            nn.Conv2d(2 * frames, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        blocks: list[nn.Module] = []
        before = width
        for stage, channels in enumerate(widths):
            blocks.append(Residual(before, channels, stride=1 if stage == 0 else 2))
            before = channels
        self.blocks = nn.Sequential(*blocks)
        self.feature_dim = 2 * before

    def forward(self, motion: Tensor) -> Tensor:
        maps = self.blocks(self.stem(_compress(motion)))
        # The mean tells how much moves, the maximum what moves most; small actors need the latter.
        return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)


def _compress(motion: Tensor) -> Tensor:
    """Pixels per frame to network units: linear below a pixel, logarithmic above; 0 stays 0."""
    return torch.asinh(motion)


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.second_norm(self.second(out)) + self.shortcut(x))


_EFFICIENTNET_DIM: Final = 1280  # timm's num_features of efficientnet_b0


class EfficientNetEncoder(nn.Module):
    """The paper's encoder: [N, 2 L, H, W] -> [N, 1280]; uses the mean of the L fields."""

    _CLIP: Final = 20.0  # pixels; the paper scales by 127.5 / 20 and clips to 8 bits

    def __init__(self, frames: int, pretrained: bool) -> None:
        super().__init__()
        import timm  # seconds to import, and only for this network

        self.frames = frames
        try:
            # timm averages the RGB stem for two channels, as the paper does.
            self.net = timm.create_model("efficientnet_b0", pretrained=pretrained, in_chans=2, num_classes=0)
        except Exception as error:  # the hub client raises many kinds; all mean the same to the user
            raise WeightsUnavailable(
                "ImageNet weights of efficientnet_b0 can't be downloaded here; "
                "set motion.pretrained=false to start from random weights"
            ) from error
        self.input_norm = nn.BatchNorm2d(2)
        self.feature_dim = _EFFICIENTNET_DIM

    def forward(self, motion: Tensor) -> Tensor:
        batch, _, height, width = motion.shape
        field = motion.reshape(batch, self.frames, 2, height, width).mean(dim=1)
        field = field.clamp(-self._CLIP, self._CLIP) / (2 * self._CLIP)
        field = functional.interpolate(field, size=(224, 224), mode="bilinear", align_corners=False)
        features: Tensor = self.net(self.input_norm(field))
        return features


class TemporalMix(nn.Module):
    """Residual depthwise convolution over the segments: [B, T, D] -> [B, T, D]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(dim, dim, 3, padding=1, groups=dim)
        nn.init.zeros_(self.conv.weight)
        nn.init.zeros_(self.conv.bias if self.conv.bias is not None else torch.zeros(0))

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.conv(x.transpose(1, 2))
        return x + functional.relu(mixed.transpose(1, 2))


class MotionNet(nn.Module):
    """Segments in, class scores out.

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

    def tokens(self, motion: Tensor) -> Tensor:
        """[B, T, L, 2, H, W] in pixels per frame -> a feature per segment, [B, T, feature_dim]."""
        batch, segments, frames, channels, height, width = motion.shape
        flat = motion.reshape(batch * segments, frames * channels, height, width)
        mixed: Tensor = self.mix(self.encoder(flat).reshape(batch, segments, -1))
        return mixed

    def features(self, motion: Tensor) -> Tensor:
        """[B, T, L, 2, H, W] in pixels per frame -> [B, feature_dim], the mean of the tokens."""
        return self.tokens(motion).mean(dim=1)

    def forward(self, motion: Tensor) -> Tensor:
        """[B, T, L, 2, H, W] in pixels per frame -> scores [B, num_classes]."""
        scores: Tensor = self.classifier(self.dropout(self.features(motion)))
        return scores


def _small(num_classes: int, frames: int, width: int, dropout: float, pretrained: bool) -> MotionNet:
    if pretrained:
        raise ConfigError("motion_small has no pretrained weights; set motion.pretrained=false")
    encoder = SmallEncoder(frames, width)
    return MotionNet(encoder, encoder.feature_dim, num_classes, dropout, temporal=True)


def _efficientnet(num_classes: int, frames: int, width: int, dropout: float, pretrained: bool) -> MotionNet:
    encoder = EfficientNetEncoder(frames, pretrained)
    return MotionNet(encoder, encoder.feature_dim, num_classes, dropout, temporal=False)


_NETS: Final[dict[str, Callable[..., MotionNet]]] = {
    "motion_small": _small,
    "efficientnet_b0": _efficientnet,
}


def list_motion_nets() -> list[str]:
    """Names that :func:`create_motion_net` takes."""
    return sorted(_NETS)


def create_motion_net(
    name: str,
    num_classes: int,
    *,
    frames: int = 5,
    width: int = 32,
    dropout: float = 0.5,
    pretrained: bool = False,
) -> MotionNet:
    """Build a motion network.

    Args:
        name: one of :func:`list_motion_nets`.
        num_classes: classes to tell apart.
        frames: consecutive vector fields per segment (L).
        width: channels of the first stage (motion_small).
        dropout: before the classifier.
        pretrained: start from ImageNet (efficientnet_b0; downloaded by timm).

    Raises:
        ConfigError: an unknown name.
        WeightsUnavailable: the pretrained weights can't be had.
    """
    if name not in _NETS:
        raise ConfigError(f"motion.net must be one of {list_motion_nets()}, got {name!r}")
    return _NETS[name](num_classes, frames, width, dropout, pretrained)


def freeze(module: nn.Module) -> nn.Module:
    """Evaluation mode and no gradients, for good: a later ``train()`` leaves it frozen.

    Without this a "frozen" backbone's BatchNorm statistics drift while a head trains on it.
    """
    module.eval()
    module.requires_grad_(False)
    module.train = lambda mode=True: module  # type: ignore[method-assign]
    return module
