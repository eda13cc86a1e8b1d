"""Heads on cached features, by name. All take (motion, appearance) features and give scores."""

from __future__ import annotations

import difflib
from typing import Final

from ..errors import ConfigError
from .base import Head, HeadSize, Standardize
from .concat_mlp import ConcatMLP
from .controls import AppearanceOneFrame, AppearanceOnly, MotionOnly
from .film import FiLM
from .gated_sum import GatedSum
from .late_average import LateAverage
from .low_rank_bilinear import LowRankBilinear
from .modality_dropout import ModalityDropout
from .query_attention import QueryAttention
from .residual_adapter import ResidualAdapter

__all__ = ["CONTROLS", "Head", "HeadSize", "Standardize", "check_head", "create_head", "list_heads"]

CONTROLS: Final[dict[str, type[Head]]] = {
    "appearance_one_frame": AppearanceOneFrame,
    "appearance_only": AppearanceOnly,
    "motion_only": MotionOnly,
}
"""Heads that see one stream."""

_HEADS: Final[dict[str, type[Head]]] = {
    "concat_mlp": ConcatMLP,
    "film": FiLM,
    "gated_sum": GatedSum,
    "late_average": LateAverage,
    "low_rank_bilinear": LowRankBilinear,
    "modality_dropout": ModalityDropout,
    "query_attention": QueryAttention,
    "residual_adapter": ResidualAdapter,
    **CONTROLS,
}


def list_heads() -> list[str]:
    """Names that :func:`create_head` takes, controls included."""
    return sorted(_HEADS)


def check_head(name: str) -> str:
    """Return the name of a head there is.

    Raises:
        ConfigError: an unknown name.
    """
    if name not in _HEADS:
        near = difflib.get_close_matches(name, _HEADS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"fusion.head must be one of {', '.join(list_heads())}, got {name!r}{hint}")
    return name


def create_head(
    name: str,
    motion_dim: int,
    appearance_dim: int,
    num_classes: int,
    *,
    hidden: int = 512,
    dropout: float = 0.5,
) -> Head:
    """Build a head.

    Args:
        name: one of :func:`list_heads`.
        motion_dim: length of a motion feature.
        appearance_dim: length of a frame's feature.
        num_classes: length of the scores.
        hidden: width of the hidden layer.
        dropout: before the classifier.

    Returns:
        A module: (motion [B, T, motion_dim] or [B, motion_dim], appearance [B, N, appearance_dim]
        or [B, appearance_dim]) -> scores [B, num_classes].

    Raises:
        ConfigError: an unknown name.
    """
    return _HEADS[check_head(name)](HeadSize(motion_dim, appearance_dim, num_classes, hidden, dropout))
