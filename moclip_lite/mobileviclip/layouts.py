"""Tensor names of other projects' checkpoints, translated to the names of :class:`MobileViCLIP`.

============  ==================================================  ========================
layout        names                                               contains
============  ==================================================  ========================
mobileviclip  vision_encoder.*, text_encoder.*, temp              video encoder, text tower
apple         image_encoder.model.*, text_encoder.*, logit_scale  image encoder, text tower
open_clip     visual.trunk.*, text.*, logit_scale                 image encoder, text tower
timm          stem.*, stages.*                                    image encoder
============  ==================================================  ========================
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from .config import MobileViClipConfig

__all__ = ["EMBEDDING", "Layout", "find_layout", "translate_names"]

Layout = Literal["mobileviclip", "apple", "open_clip", "timm"]
EMBEDDING: Final = "video.trunk.stages.3.pos_emb.temporal_embedding"
_IMAGE_PREFIX: Final[dict[Layout, str]] = {
    "mobileviclip": "vision_encoder.",
    "apple": "image_encoder.model.",
    "open_clip": "visual.trunk.",
    "timm": "",
}

_APPLE_TO_TIMM: Final = {
    r"^patch_embed\.": "stem.",
    r"^network\.0\.": "stages.0.blocks.",
    r"^network\.1\.proj\.": "stages.1.downsample.proj.",
    r"^network\.2\.": "stages.1.blocks.",
    r"^network\.3\.proj\.": "stages.2.downsample.proj.",
    r"^network\.4\.": "stages.2.blocks.",
    r"^network\.5\.proj\.": "stages.3.downsample.proj.",
    r"^network\.6\.pe\.": "stages.3.pos_emb.pos_enc.",
    r"^network\.7\.": "stages.3.blocks.",
    r"^conv_exp\.": "final_conv.",
    r"^head\.proj$": "head.fc.weight",
    r"\brbr_conv\b": "conv_kxk",
    r"\brbr_scale\b": "conv_scale",
    r"\brbr_skip\b": "identity",
    r"\blkb_origin\b": "large_conv",
    r"\bconvffn\b": "mlp",
    r"\bse\.reduce\b": "se.fc1",
    r"\bse\.expand\b": "se.fc2",
    r"\b(layer_scale(_\d)?)$": r"\1.gamma",
}
"""Image encoder: regular expression on Apple's name -> timm's name; timm's own names stay unchanged."""

_APPLE_TO_OPEN_CLIP: Final = {
    r"^transformer\.": "transformer.resblocks.",
    r"^projection_layer$": "text_projection",
    r"^embedding_layer\.": "token_embedding.",
    r"^positional_embedding\.pos_embed\.pos_embed$": "positional_embedding",
    r"^final_layer_norm\.": "ln_final.",
    r"\bpre_norm_mha\.0\b": "ln_1",
    r"\bpre_norm_mha\.1\b": "attn",
    r"\bpre_norm_ffn\.0\b": "ln_2",
    r"\bpre_norm_ffn\.1\b": "mlp.c_fc",
    r"\bpre_norm_ffn\.4\b": "mlp.c_proj",
    r"\bqkv_proj\.(weight|bias)$": r"in_proj_\1",
}
"""Text tower of S2: regular expression on Apple's name -> open_clip's name."""

_TIMM_TO_SPATIOTEMPORAL: Final = {
    r"^(stages\.[012]\.blocks\.\d+\.token_mixer)\.(?!temporal\.)": r"\1.spatial.",
    r"^(stages\.3\.blocks\.\d+\.token_mixer)\.": r"\1.attention.",
    r"^(stages\.3\.pos_emb)\.": r"\1.spatial.",
}
"""Modules of the image encoder, by timm's names -> their place within the spatiotemporal modules."""


def find_layout(names: Iterable[str]) -> Layout | None:
    """The layout that tensor names belong to, or None."""
    listed = list(names)
    for layout, prefix in _IMAGE_PREFIX.items():
        if any(name.startswith(prefix or "stages.") for name in listed):
            return layout
    return None


def translate_names(names: Iterable[str], layout: Layout, config: MobileViClipConfig) -> dict[str, str]:
    """Name in the file -> name in :class:`MobileViCLIP`, absent or without a place there if unknown."""
    return {name: ours for name in names if (ours := _translated(name, layout, config)) is not None}


def _translated(name: str, layout: Layout, config: MobileViClipConfig) -> str | None:
    image, text = _IMAGE_PREFIX[layout], "text." if layout == "open_clip" else "text_encoder."
    apple = layout in ("mobileviclip", "apple")
    if name in ("logit_scale", "temp"):
        return "log_temperature"
    if name.startswith(text) and layout != "timm":
        name = name.removeprefix(text)
        table = _APPLE_TO_OPEN_CLIP if apple and config.text == "transformer" else {}
        return "text." + _replaced(name, table)
    if not name.startswith(image):
        return None
    if name.endswith("temporal_embedding"):
        return EMBEDDING
    name = _replaced(name.removeprefix(image), _APPLE_TO_TIMM if apple else {})
    return "video.trunk." + _replaced(name, _TIMM_TO_SPATIOTEMPORAL if config.temporal else {})


def _replaced(name: str, table: Mapping[str, str]) -> str:
    for pattern, replacement in table.items():
        name = re.sub(pattern, replacement, name)
    return name
