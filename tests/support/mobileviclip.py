"""Small MobileViCLIPs for tests, without initial values, and their tensors in other projects' naming schemes.

PYTEST_DONT_REWRITE: helpers that test modules import by name.
"""

from __future__ import annotations

import dataclasses
import re

import torch
from torch import Tensor, nn

from moclip_lite.mobileviclip import MobileViCLIP, MobileViClipConfig, build

TINY = MobileViClipConfig(
    name="tiny",
    trunk="fastvit_mci0",
    depths=(1, 1, 2, 1),
    dims=(16, 32, 32, 64),
    embed_dim=32,
    text_width=32,
    text_heads=2,
    text_layers=1,
    num_frames=4,
    image_size=64,
)
SMALL = dataclasses.replace(TINY, name="small", trunk="fastvit_mci2", text="transformer", text_layers=2)
SMALLEST = dataclasses.replace(TINY, num_frames=2, image_size=32, depths=(1, 1, 1, 1), dims=(8, 8, 16, 32))


_APPLE_IMAGE = (
    ("final_conv", "conv_exp"),
    ("stem.", "patch_embed."),
    ("conv_kxk", "rbr_conv"),
    ("conv_scale", "rbr_scale"),
    ("identity", "rbr_skip"),
    ("large_conv", "lkb_origin"),
    ("mlp.", "convffn."),
    ("se.fc1", "se.reduce"),
    ("se.fc2", "se.expand"),
)
_APPLE_TEXT = (
    ("text_projection", "projection_layer"),
    ("token_embedding", "embedding_layer"),
    ("ln_final", "final_layer_norm"),
    ("transformer.resblocks.", "transformer."),
    ("ln_1", "pre_norm_mha.0"),
    ("attn.in_proj_weight", "pre_norm_mha.1.qkv_proj.weight"),
    ("attn.in_proj_bias", "pre_norm_mha.1.qkv_proj.bias"),
    ("attn.out_proj", "pre_norm_mha.1.out_proj"),
    ("ln_2", "pre_norm_ffn.0"),
    ("mlp.c_fc", "pre_norm_ffn.1"),
    ("mlp.c_proj", "pre_norm_ffn.4"),
)


def shaken(config: MobileViClipConfig = TINY, seed: int = 0) -> MobileViCLIP:
    """Model with random weights, BatchNorm statistics and scales."""
    model = build(config, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3, generator=generator)
                module.running_var.uniform_(0.5, 2.0, generator=generator)
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.3, generator=generator)
        for name, parameter in model.named_parameters():
            if "layer_scale" in name:
                parameter.uniform_(0.1, 0.5, generator=generator)
            elif "token_mixer.attention" in name and parameter.ndim == 2:
                parameter.normal_(0, 0.3, generator=generator)
            elif "temporal_embedding" in name:
                parameter.normal_(0, 0.5, generator=generator)
    return model


def clip_of(config: MobileViClipConfig = TINY, count: int = 2, seed: int = 1) -> Tensor:
    """Random clips."""
    size = (count, config.num_frames, 3, config.image_size, config.image_size)
    return torch.rand(size, generator=torch.Generator().manual_seed(seed))


def timm_state(model: MobileViCLIP) -> dict[str, Tensor]:
    """Image encoder in timm's names, without temporal tensors."""
    state = {}
    for name, value in model.video.trunk.state_dict().items():
        if ".temporal." not in name and "temporal_embedding" not in name:
            name = re.sub(r"token_mixer\.(spatial|attention)\.", "token_mixer.", name)
            state[name.replace("pos_emb.spatial.", "pos_emb.")] = value.clone()
    return state


def open_clip_state(model: MobileViCLIP) -> dict[str, Tensor]:
    """Image encoder and text tower in open_clip's names."""
    state = {f"visual.trunk.{name}": value for name, value in timm_state(model).items()}
    state |= {f"text.{name}": value.clone() for name, value in model.text.state_dict().items()}
    return {**state, "logit_scale": -model.log_temperature.detach()}


def apple_name(name: str) -> str:
    """Translate timm's name of an image encoder's tensor to Apple's flat numbering of stages."""
    for ours, theirs in _APPLE_IMAGE:
        name = name.replace(ours, theirs)
    name = re.sub(r"(layer_scale(_\d)?)\.gamma", r"\1", name)
    name = name.replace("stages.3.pos_emb.pos_enc", "network.6.pe")
    name = re.sub(r"stages\.(\d)\.downsample\.proj", lambda m: f"network.{2 * int(m[1]) - 1}.proj", name)
    # The position encoding precedes the blocks of the last stage.
    return re.sub(r"stages\.(\d)\.blocks", lambda m: f"network.{(0, 2, 4, 7)[int(m[1])]}", name)


def apple_state(model: MobileViCLIP, image: str = "image_encoder.model.") -> dict[str, Tensor]:
    """Both towers in Apple's names."""
    state = {f"{image}{apple_name(name)}": value for name, value in timm_state(model).items()}
    state[f"{image}head.proj"] = state.pop(f"{image}head.fc.weight").T.contiguous()
    del state[f"{image}head.fc.bias"]
    for name, value in model.text.state_dict().items():
        value = value.clone()
        if model.config.text == "transformer":
            for ours, theirs in _APPLE_TEXT:
                name = name.replace(ours, theirs)
            if name == "positional_embedding":
                name, value = "positional_embedding.pos_embed.pos_embed", value[None, None]
        state[f"text_encoder.{name}"] = value
    return {**state, "logit_scale": -model.log_temperature.detach()}


def published_state(model: MobileViCLIP, temporal: str = "token_mixer.temporal_conv") -> dict[str, Tensor]:
    """Published MobileViCLIP's names; those of temporal convolutions are assumed."""
    state = apple_state(model, "vision_encoder.")
    del state["logit_scale"]
    for name, value in model.video.trunk.state_dict().items():
        if ".temporal." in name:
            new = apple_name(name).replace("token_mixer.temporal", temporal)
            state[f"vision_encoder.{new}"] = value.clone()
    embedding = model.state_dict()["video.trunk.stages.3.pos_emb.temporal_embedding"]
    state["vision_encoder.network.6.temporal_embedding"] = embedding.clone().unsqueeze(2)
    return {**state, "temp": model.temperature.detach()}
