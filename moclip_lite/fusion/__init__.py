"""Heads on cached features, by name. All take (motion, appearance) features and give scores."""

from __future__ import annotations

from typing import Final

from ..errors import ConfigError
from .base import Head, Standardize
from .concat_mlp import ConcatMLP
from .controls import AppearanceOnly, MotionOnly

__all__ = ["Head", "Standardize", "create_head", "list_heads"]

_HEADS: Final[dict[str, type[Head]]] = {
    "appearance_only": AppearanceOnly,
    "concat_mlp": ConcatMLP,
    "motion_only": MotionOnly,
}


def list_heads() -> list[str]:
    """Names that :func:`create_head` takes."""
    return sorted(_HEADS)


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
        A module: (motion [B, motion_dim], appearance [B, N, appearance_dim] or
        [B, appearance_dim]) -> scores [B, num_classes].

    Raises:
        ConfigError: an unknown name.
    """
    if name not in _HEADS:
        raise ConfigError(f"fusion.head must be one of {list_heads()}, got {name!r}")
    return _HEADS[name](motion_dim, appearance_dim, num_classes, hidden=hidden, dropout=dropout)
