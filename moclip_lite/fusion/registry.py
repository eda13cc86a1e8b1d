"""The names of the heads and the modules that hold them.

A configuration is checked against the names without torch, which takes seconds to import.
"""

from __future__ import annotations

import difflib
from typing import Final

from ..errors import ConfigError

__all__ = ["BESIDE", "HEADS", "LINEAR", "NEED_TEXT", "TEXT_POOLS", "check_head", "list_heads"]

LINEAR: Final = {
    "appearance_one_frame": "linear_one_frame",
    "appearance_only": "linear_appearance",
    "motion_only": "linear_motion",
}
"""The controls beside ``linear_pool``: of the same kind, so that its gain is that of the fusion."""

TEXT_POOLS: Final = ("cosine_text", "text_pool", "tip_adapter")
"""Heads that pool a comparison of frames with text; NAME_appearance and NAME_one_frame stand beside them."""

BESIDE: Final = {
    "linear_pool": LINEAR,
    "frame_attention": {"appearance_only": "frame_attention_only"},
    **{
        name: {
            "appearance_one_frame": f"{name}_one_frame",
            "appearance_only": f"{name}_appearance",
            "motion_only": "linear_motion",
        }
        for name in TEXT_POOLS
    },
}
"""Head -> the controls beside it, where they are others than usual."""

HEADS: Final = {
    "appearance_one_frame": ("controls", "AppearanceOneFrame"),
    "appearance_only": ("controls", "AppearanceOnly"),
    "concat_mlp": ("concat_mlp", "ConcatMLP"),
    "cosine_text": ("cosine_text", "CosineText"),
    "cosine_text_appearance": ("cosine_text", "CosineTextAppearance"),
    "cosine_text_one_frame": ("cosine_text", "CosineTextOneFrame"),
    "film": ("film", "FiLM"),
    "frame_attention": ("frame_attention", "FrameAttention"),
    "frame_attention_only": ("frame_attention", "FrameAttentionOnly"),
    "gated_sum": ("gated_sum", "GatedSum"),
    "late_average": ("late_average", "LateAverage"),
    "linear_appearance": ("linear_pool", "LinearAppearance"),
    "linear_motion": ("linear_pool", "LinearMotion"),
    "linear_one_frame": ("linear_pool", "LinearOneFrame"),
    "linear_pool": ("linear_pool", "LinearPool"),
    "logistic_regression": ("logistic_regression", "LinearProbe"),
    "low_rank_bilinear": ("low_rank_bilinear", "LowRankBilinear"),
    "modality_dropout": ("modality_dropout", "ModalityDropout"),
    "motion_only": ("controls", "MotionOnly"),
    "query_attention": ("query_attention", "QueryAttention"),
    "residual_adapter": ("residual_adapter", "ResidualAdapter"),
    "text_pool": ("text_pool", "TextPoolFusion"),
    "text_pool_appearance": ("text_pool", "TextPoolAppearance"),
    "text_pool_one_frame": ("text_pool", "TextPoolOneFrame"),
    "tip_adapter": ("tip_adapter", "TipAdapter"),
    "tip_adapter_appearance": ("tip_adapter", "TipAdapterAppearance"),
    "tip_adapter_one_frame": ("tip_adapter", "TipAdapterOneFrame"),
}
"""Name -> (module of ``fusion.heads``, class)."""

NEED_TEXT: Final = (
    "residual_adapter",
    *(name + part for name in TEXT_POOLS for part in ("", "_appearance", "_one_frame")),
)
"""Heads that start from text embeddings of the class names (``Head.from_text``)."""


def list_heads() -> list[str]:
    """Names that :func:`moclip_lite.fusion.create_head` takes, controls included."""
    return sorted(HEADS)


def check_head(name: str) -> str:
    """Return `name` if there is such a head.

    Raises:
        ConfigError: an unknown name.
    """
    if name not in HEADS:
        near = difflib.get_close_matches(name, HEADS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"fusion.head must be one of {', '.join(list_heads())}, got {name!r}{hint}")
    return name
