"""Video encoder: timm's FastViT with spatiotemporal token mixers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.checkpoint import checkpoint

from .config import MobileViClipConfig, Statistics
from .temporal import JointAttention, SpatioTemporalRepMixer, TemporalPositions

__all__ = ["VideoEncoder", "create_trunk"]


@contextmanager
def _frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Keep running statistics of batch norms unchanged during a repeated forward pass."""
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    counts = [
        None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone() for norm in norms
    ]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None and count is not None:
                norm.num_batches_tracked.copy_(count)


def _checkpoint_contexts(
    block: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Contexts of a checkpointed block: for the forward pass, and for its repetition in the backward pass."""
    return nullcontext(), _frozen_statistics(block)


def create_trunk(config: MobileViClipConfig) -> nn.Module:
    """Create MobileCLIP's image encoder with random weights: [N, 3, S, S] -> [N, embed_dim]."""
    import timm  # seconds to import

    trunk: nn.Module = timm.create_model(
        config.trunk,
        pretrained=False,
        num_classes=config.embed_dim,
        layers=config.depths,
        embed_dims=config.dims,
    )
    return trunk


class VideoEncoder(nn.Module):
    """Embeds clips: the spatiotemporal encoder, then the mean over frames.

    Args:
        config: see :class:`MobileViClipConfig`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: MobileViClipConfig) -> None:
        super().__init__()
        self.frames = config.num_frames
        self.trunk = cast(Any, create_trunk(config))
        self.grad_checkpointing = False
        self.folded = False
        self.set_normalization(config.normalization)
        if config.temporal:
            self._add_temporal_modules(config)

    def set_normalization(self, normalization: Statistics) -> None:
        """Set mean and standard deviation of each channel, for pictures from 0 to 1."""
        mean, std = normalization
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def _add_temporal_modules(self, config: MobileViClipConfig) -> None:
        frames = config.num_frames
        for stage, dim in zip(self.trunk.stages, config.dims, strict=True):
            for block in stage.blocks:
                if hasattr(block.token_mixer, "mixer"):
                    block.token_mixer = SpatioTemporalRepMixer(block.token_mixer, dim, frames)
                else:
                    block.token_mixer = JointAttention(block.token_mixer, frames)
            if hasattr(stage.pos_emb, "pos_enc"):
                stage.pos_emb = TemporalPositions(stage.pos_emb, dim, frames)

    def frame_embeddings(self, clip: Tensor) -> Tensor:
        """float32 [B, T, 3, S, S] in 0..1 -> [B, T, embed_dim]."""
        x = (clip.flatten(0, 1) - self.mean) / self.std
        if self.folded and not torch.compiler.is_exporting():
            x = x.contiguous(memory_format=torch.channels_last)  # doubles the speed of depthwise convolutions
        x = self.trunk.stem(x)
        for stage in self.trunk.stages:
            x = stage.pos_emb(stage.downsample(x))
            for block in stage.blocks:
                if self.grad_checkpointing and self.training:
                    contexts = partial(_checkpoint_contexts, block)
                    x = checkpoint(block, x, use_reentrant=False, context_fn=contexts)
                else:
                    x = block(x)
        x = self.trunk.head(self.trunk.final_conv(x))
        return torch.unflatten(x, 0, (-1, clip.shape[1]))

    def forward(self, clip: Tensor) -> Tensor:
        """float32 [B, T, 3, S, S] in 0..1 -> [B, embed_dim]."""
        return self.frame_embeddings(clip).mean(dim=1)

    def fold(self) -> None:
        """Fold all training branches in place: temporal modules, RepMixer's and MobileOne's branches, the
        norms of convolutions and the layer scales. Outputs stay those of evaluation mode."""
        from timm.layers.conv_bn_act import ConvNormAct
        from timm.models.fastvit import AttentionBlock, RepMixerBlock
        from timm.utils.model import reparameterize_model

        with torch.no_grad():
            reparameterize_model(self, inplace=True)
            parts: list[Any] = list(self.modules())
            for part in parts:
                children: list[tuple[str, Any]] = list(part.named_children())
                for name, child in children:
                    if isinstance(child, ConvNormAct) and isinstance(child.bn, nn.BatchNorm2d):
                        setattr(part, name, _fused(child))
            for part in parts:  # after the norms: the new modules hold the fused convolutions
                if isinstance(part, RepMixerBlock):
                    _scale(part, "layer_scale", part.mlp.fc2)
                    part.add_module("mlp", FoldedMlp(part.mlp))
                elif isinstance(part, AttentionBlock):
                    mixer: Any = part.token_mixer
                    attention = mixer.attention if isinstance(mixer, JointAttention) else mixer
                    _scale(part, "layer_scale_1", attention.proj)
                    _scale(part, "layer_scale_2", part.mlp.fc2)
                    part.add_module("mlp", FoldedMlp(part.mlp))
        self.folded = True
        self.to(memory_format=torch.channels_last)


class FoldedMlp(nn.Module):
    """timm's ConvMlp with 1x1 convolutions as matrix products, which need no copies in channels-last layout.

    Args:
        mlp: a ConvMlp whose norm is folded.
    """

    def __init__(self, mlp: Any) -> None:
        super().__init__()
        self.conv, self.act = mlp.conv, mlp.act
        self.fc1, self.fc2 = _linear(mlp.fc1), _linear(mlp.fc2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if torch.compiler.is_exporting():  # ONNX runtimes keep channels first
            x = self.act(functional.conv2d(x, self.fc1.weight[..., None, None], self.fc1.bias))
            return functional.conv2d(x, self.fc2.weight[..., None, None], self.fc2.bias)
        channels_last: Tensor = self.fc2(self.act(self.fc1(x.permute(0, 2, 3, 1))))
        return channels_last.permute(0, 3, 1, 2)


def _fused(part: Any) -> nn.Sequential:
    """Convolution and norm as one layer, then the activation, which timm keeps in the norm."""
    return nn.Sequential(fuse_conv_bn_eval(part.conv, part.bn), part.bn.drop, part.bn.act)


def _linear(conv: nn.Conv2d) -> nn.Linear:
    layer = nn.Linear(conv.in_channels, conv.out_channels)
    assert conv.bias is not None
    layer.weight, layer.bias = nn.Parameter(conv.weight.flatten(1)), nn.Parameter(conv.bias)
    return layer


def _scale(block: nn.Module, name: str, layer: Any) -> None:
    """Multiply a layer scale into the preceding layer."""
    scale = getattr(block, name)
    if isinstance(scale, nn.Identity):
        return
    gamma = scale.gamma.flatten()
    layer.weight.mul_(gamma.view(-1, *(1,) * (layer.weight.ndim - 1)))
    if layer.bias is not None:
        layer.bias.mul_(gamma)
    setattr(block, name, nn.Identity())
