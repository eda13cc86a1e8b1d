"""Text towers: MobileCLIP-S0's, with the tensor names of Apple's checkpoints, and S2's from open_clip.

S0's ``mct`` tower has four transformer layers between two blocks of convolutions over the tokens.
Neither tower is causal; the embedding is that of the end-of-text token.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .config import CONTEXT, VOCABULARY, MobileViClipConfig

__all__ = ["MctTextTower", "create_text_tower"]

_KERNEL = 11  # tokens; width of the convolutions of the mct tower


def create_text_tower(config: MobileViClipConfig) -> nn.Module:
    """Create a text tower with random weights: int64 [N, 77] -> [N, embed_dim]."""
    if config.text == "mct":
        return MctTextTower(config.text_width, config.text_heads, config.text_layers, config.embed_dim)
    from open_clip.transformer import TextTransformer

    tower: nn.Module = TextTransformer(
        context_length=CONTEXT,
        vocab_size=VOCABULARY,
        width=config.text_width,
        heads=config.text_heads,
        layers=config.text_layers,
        output_dim=config.embed_dim,
        no_causal_mask=True,
    )
    return tower


class _Positions(nn.Module):
    """Learned position embeddings, with Apple's tensor name ``positional_embedding.pos_embed.pos_embed``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Module()
        table = nn.Parameter(torch.empty(1, 1, CONTEXT, width))
        nn.init.trunc_normal_(table, std=width**-0.5)
        self.pos_embed.register_parameter("pos_embed", table)

    def forward(self, length: int) -> Tensor:
        table = cast(Tensor, self.pos_embed.pos_embed)
        return table[0, :, :length]


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv_proj(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        out = functional.scaled_dot_product_attention(query, key, value)
        joined: Tensor = self.out_proj(out.transpose(1, 2).flatten(2))
        return joined


class _Layer(nn.Module):
    """Pre-norm transformer layer; the order of its parts gives the numbers in Apple's tensor names."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.pre_norm_mha = nn.Sequential(nn.LayerNorm(width), _Attention(width, heads), nn.Identity())
        grow, shrink = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.pre_norm_ffn = nn.Sequential(
            nn.LayerNorm(width), grow, nn.GELU(), nn.Identity(), shrink, nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pre_norm_mha(x)
        out: Tensor = x + self.pre_norm_ffn(x)
        return out


def _conv_norm(width: int) -> nn.Sequential:
    conv = nn.Conv2d(width, width, (1, _KERNEL), padding=(0, _KERNEL // 2), groups=width, bias=False)
    parts = nn.Sequential()
    parts.add_module("conv", conv)
    parts.add_module("bn", nn.BatchNorm2d(width))
    return parts


def _fused(parts: nn.Module) -> nn.Conv2d:
    conv, norm = cast(nn.Conv2d, parts.conv), cast(nn.BatchNorm2d, parts.bn)
    return fuse_conv_bn_eval(conv, norm)


class _Branches(nn.Module):
    """MobileOne's branches: a norm of the input, and convolutions that are each followed by a norm."""

    def __init__(self, width: int, convs: int) -> None:
        super().__init__()
        self.rbr_skip = nn.BatchNorm2d(width)
        self.rbr_conv = nn.ModuleList([_conv_norm(width) for _ in range(convs)])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.rbr_skip(x)
        for branch in self.rbr_conv:
            out = out + branch(x)
        return out

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight [C, 1, 1, 11] and bias [C] of the one equivalent convolution."""
        like, width = self.rbr_skip.weight, self.rbr_skip.num_features
        weight, bias = _identity(width), torch.zeros(width)
        skip = nn.Conv2d(width, width, (1, _KERNEL), groups=width)
        skip.weight.data, cast(Tensor, skip.bias).data = weight.to(like), bias.to(like)
        parts = [fuse_conv_bn_eval(skip.eval(), self.rbr_skip)]
        parts += [_fused(branch) for branch in self.rbr_conv]
        biases = [cast(Tensor, part.bias) for part in parts]
        return torch.stack([part.weight for part in parts]).sum(0), torch.stack(biases).sum(0)


def _identity(width: int) -> Tensor:
    weight = torch.zeros(width, 1, 1, _KERNEL)
    weight[..., _KERNEL // 2] = 1
    return weight


class _TokenMixer(nn.Module):
    """RepMixer over tokens: x + s (mixer(x) - norm(x)) (FastViT, equation 2 with a layer scale s)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm: _Branches | None = _Branches(width, convs=0)
        self.mixer: _Branches | None = _Branches(width, convs=1)
        self.layer_scale: nn.Parameter | None = nn.Parameter(torch.full((width, 1, 1), 1e-5))
        self.reparam_conv: nn.Conv2d | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.reparam_conv is not None:
            folded: Tensor = self.reparam_conv(x)
            return folded
        assert self.norm is not None
        assert self.mixer is not None
        assert self.layer_scale is not None
        mixed: Tensor = x + self.layer_scale * (self.mixer(x) - self.norm(x))
        return mixed

    def reparameterize(self) -> None:
        """Fold both branches and the scale into one convolution over the tokens."""
        if self.norm is None or self.mixer is None or self.layer_scale is None:
            return
        (mixed, mixed_bias), (plain, plain_bias) = self.mixer.folded(), self.norm.folded()
        width = mixed.shape[0]
        conv = nn.Conv2d(width, width, (1, _KERNEL), padding=(0, _KERNEL // 2), groups=width)
        scale = self.layer_scale
        conv.weight.data = (_identity(width).to(mixed) + scale.unsqueeze(-1) * (mixed - plain)).detach()
        assert conv.bias is not None
        conv.bias.data = (scale.flatten() * (mixed_bias - plain_bias)).detach()
        self.reparam_conv = conv
        self.norm = self.mixer = self.layer_scale = None


class _ConvFfn(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = _conv_norm(width)
        self.fc1 = nn.Conv2d(width, 4 * width, 1)
        self.fc2 = nn.Conv2d(4 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.gelu(self.fc1(self.conv(x))))
        return out

    def reparameterize(self) -> None:
        """Fold the norm into the preceding convolution."""
        if len(self.conv) > 1:
            folded = nn.Sequential()
            folded.add_module("conv", _fused(self.conv))
            self.conv = folded


class _RepMixerBlock(nn.Module):
    """Block of convolutions over the tokens: [N, tokens, width] -> [N, tokens, width]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token_mixer = _TokenMixer(width)
        self.convffn = _ConvFfn(width)
        self.layer_scale = nn.Parameter(torch.full((width, 1, 1), 1e-5))

    def forward(self, x: Tensor) -> Tensor:
        row: Tensor = self.token_mixer(x.transpose(1, 2).unsqueeze(2))
        row = row + self.layer_scale * self.convffn(row)
        return row.squeeze(2).transpose(1, 2)


class MctTextTower(nn.Module):
    """MobileCLIP-S0's text tower.

    Args:
        width, heads, layers: sizes of the transformer between the two convolutional blocks.
        embed_dim: length of an embedding.
    """

    def __init__(self, width: int, heads: int, layers: int, embed_dim: int) -> None:
        super().__init__()
        self.embedding_layer = nn.Embedding(VOCABULARY, width)
        nn.init.normal_(self.embedding_layer.weight, std=0.02)
        self.positional_embedding = _Positions(width)
        inner = [_Layer(width, heads) for _ in range(layers)]
        self.transformer = nn.ModuleList([_RepMixerBlock(width), *inner, _RepMixerBlock(width)])
        self.final_layer_norm = nn.LayerNorm(width)
        self.projection_layer = nn.Parameter(torch.randn(width, embed_dim) * width**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """int64 [N, 77] -> [N, embed_dim]."""
        x = self.embedding_layer(tokens) + self.positional_embedding(tokens.shape[1])
        for layer in self.transformer:
            x = layer(x)
        x = self.final_layer_norm(x)
        # The end-of-text token has the largest number.
        end = tokens.argmax(dim=-1)[:, None, None].expand(-1, 1, x.shape[-1])
        embedding: Tensor = x.gather(1, end).squeeze(1)
        return embedding @ self.projection_layer
