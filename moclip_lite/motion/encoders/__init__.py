"""Encoders of motion windows: [N, 2 L, rows, columns] in pixels per frame -> [N, feature_dim]."""

from .efficientnet import EfficientNetEncoder
from .fields import FieldEncoder
from .shift import ShiftEncoder
from .small import SmallEncoder

__all__ = ["EfficientNetEncoder", "FieldEncoder", "ShiftEncoder", "SmallEncoder"]
