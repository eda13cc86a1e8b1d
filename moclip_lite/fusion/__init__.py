"""Fusion heads: small classifiers on cached motion and appearance features, created by name.

``heads`` has one head a file, with their interface in ``base`` and the heads that see one stream in
``controls``; ``tables``, ``features`` and ``streamed`` have the features that heads are trained and tested
on, ``training`` the fitting of a head.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from .registry import HEADS, check_head, list_heads
from .settings import FusionSettings

if TYPE_CHECKING:
    from .heads.base import Head

__all__ = ["FusionSettings", "build_head", "check_head", "create_head", "head_class", "list_heads"]

_DEFAULT: Final = FusionSettings()


def create_head(
    name: str,
    motion_dim: int,
    appearance_dim: int,
    num_classes: int,
    *,
    hidden: int = _DEFAULT.hidden,
    dropout: float = _DEFAULT.dropout,
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
    from .heads.base import HeadSize

    size = HeadSize(motion_dim, appearance_dim, num_classes, hidden, dropout)
    return head_class(name)(size)


def head_class(name: str) -> type[Head]:
    """The class of a head.

    Raises:
        ConfigError: an unknown name.
    """
    module, kind = HEADS[check_head(name)]
    found: type[Head] = getattr(import_module(f".heads.{module}", __name__), kind)
    return found


def build_head(
    settings: FusionSettings, name: str, motion_dim: int, appearance_dim: int, num_classes: int
) -> Head:
    """Build the head of that name, ``settings.head`` or a control beside it, at the settings' size."""
    return create_head(
        name, motion_dim, appearance_dim, num_classes, hidden=settings.hidden, dropout=settings.dropout
    )
