"""Fusion heads: small classifiers on cached motion and appearance features, created by name.

One head a file. ``base`` has their interface, ``controls`` the heads that see one stream, ``features`` the tables of
features that heads are trained and tested on, ``training`` the fitting of a head.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, Final

from ..errors import ConfigError

if TYPE_CHECKING:
    from .base import Head

__all__ = ["CONTROLS", "check_head", "create_head", "list_heads"]

CONTROLS: Final = ("appearance_one_frame", "appearance_only", "motion_only")
"""Heads that see one stream."""

# Module and class: a configuration is checked against the names without torch, which takes seconds to import.
_HEADS: Final = {
    "appearance_one_frame": ("controls", "AppearanceOneFrame"),
    "appearance_only": ("controls", "AppearanceOnly"),
    "concat_mlp": ("concat_mlp", "ConcatMLP"),
    "film": ("film", "FiLM"),
    "gated_sum": ("gated_sum", "GatedSum"),
    "late_average": ("late_average", "LateAverage"),
    "logistic_regression": ("logistic_regression", "LinearProbe"),
    "low_rank_bilinear": ("low_rank_bilinear", "LowRankBilinear"),
    "modality_dropout": ("modality_dropout", "ModalityDropout"),
    "motion_only": ("controls", "MotionOnly"),
    "query_attention": ("query_attention", "QueryAttention"),
    "residual_adapter": ("residual_adapter", "ResidualAdapter"),
}


def list_heads() -> list[str]:
    """Names that :func:`create_head` takes, controls included."""
    return sorted(_HEADS)


def check_head(name: str) -> str:
    """Return the name of an existing head.

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
    from .base import HeadSize

    module, class_name = _HEADS[check_head(name)]
    head_class: type[Head] = getattr(import_module(f".{module}", __name__), class_name)
    return head_class(HeadSize(motion_dim, appearance_dim, num_classes, hidden, dropout))
