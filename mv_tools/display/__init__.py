"""How a player shows coded pictures: orientation, sample aspect ratio, fields."""

from .display import SQUARE, Display, Region, read_display
from .orientation import UPRIGHT, Orientation

__all__ = ["SQUARE", "UPRIGHT", "Display", "Orientation", "Region", "read_display"]
