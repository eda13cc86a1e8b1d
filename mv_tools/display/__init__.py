"""How a player shows coded pictures: orientation, sample aspect ratio, fields."""

from .container import read_display
from .display import SQUARE, Display, Region, ShownPicture
from .orientation import UPRIGHT, Orientation

__all__ = ["SQUARE", "UPRIGHT", "Display", "Orientation", "Region", "ShownPicture", "read_display"]
