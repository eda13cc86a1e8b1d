"""How a player shows coded pictures: turned upright, and scaled to square pixels.

The upright picture keeps its height; its width is scaled, as ffplay does and ``ffmpeg -vf scale=iw*sar:ih``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from .orientation import UPRIGHT, Orientation

__all__ = ["SQUARE", "Display", "Region", "ShownPicture"]

SQUARE: Final = Fraction(1)

_MAX_ASPECT_RATIO: Final = 10
"""The standards' tables go to 160:99 and 32:11; a far larger ratio is damage and could exhaust the memory."""


class Region(NamedTuple):
    """The part of an upright 4x4 grid that is shown, in cells; edges may lie within a cell."""

    top: float
    left: float
    rows: float
    columns: float


@dataclass(frozen=True)
class Display:
    """How the pictures of one stream are shown.

    Attributes:
        orientation: how the coded picture is turned.
        sample_aspect_ratio: width of a coded sample to its height; None if unknown, taken as square.
        notes: what the container asks for and is not followed, as sentences.
    """

    orientation: Orientation = UPRIGHT
    sample_aspect_ratio: Fraction | None = None
    notes: tuple[str, ...] = ()

    def with_aspect(self, ratio: Fraction | tuple[int, int] | None) -> Display:
        """The same with the codec's sample aspect ratio, unless the container gives one."""
        if ratio is None or self.sample_aspect_ratio is not None:
            return self
        value, notes = _plausible_aspect(ratio)
        return replace(self, sample_aspect_ratio=value, notes=self.notes + notes)

    @property
    def upright_aspect(self) -> Fraction:
        """Width to height of a sample of the upright picture."""
        ratio = self.sample_aspect_ratio or SQUARE
        return 1 / ratio if self.orientation.swaps_sides else ratio

    @property
    def plain(self) -> bool:
        """Whether coded pictures are shown without turning or scaling."""
        return self.orientation == UPRIGHT and self.upright_aspect == 1

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) at which a picture of `width` x `height` samples is shown."""
        width, height = self.orientation.size(width, height)
        return max(1, round(width * self.upright_aspect)), height

    def picture(self, frame: VideoFrame) -> npt.NDArray[np.uint8]:
        """Convert a decoded picture to what a player shows: uint8 [height, width, 3], RGB.

        On one thread: with several, samples at the seams of their slices vary from run to run.
        """
        width, height = self.orientation.inverse.size(*self.size(frame.width, frame.height))
        if (width, height) != (frame.width, frame.height):  # before conversion, as in a transcoded copy
            frame = frame.reformat(width, height, interpolation="BICUBIC", threads=1)
        coded = frame.to_ndarray(format="rgb24", threads=1)
        return np.ascontiguousarray(self.orientation.picture(coded), np.uint8)

    def region(self, grid_shape: tuple[int, int], cropped: tuple[int, int], coded: tuple[int, int]) -> Region:
        """Where the shown part of the picture lies in the upright grid.

        Args:
            grid_shape: (rows, columns) of the upright grid; a field picture has half as many rows.
            cropped: (width, height) of the coded picture after cropping on the right and below, in samples.
            coded: (width, height) in whole macroblocks.
        """
        width, height = self.orientation.size(*cropped)
        coded_width, coded_height = self.orientation.size(*coded)
        rows, columns = grid_shape[0] * height / coded_height, grid_shape[1] * width / coded_width
        a, b, c, d = self.orientation.linear
        top = grid_shape[0] - rows if b + d < 0 else 0.0
        left = grid_shape[1] - columns if a + c < 0 else 0.0
        return Region(top, left, rows, columns)

    def to_json(self) -> dict[str, Any]:
        """A JSON object, for :meth:`from_json`."""
        ratio = self.sample_aspect_ratio
        return {
            "rotation": self.orientation.rotation,
            "mirror": self.orientation.mirror,
            "sample_aspect_ratio": None if ratio is None else [ratio.numerator, ratio.denominator],
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, value: Any) -> Display:
        """Read what :meth:`to_json` returned.

        Raises:
            ValueError: the value has another form.
        """
        try:
            ratio, notes = value["sample_aspect_ratio"], tuple(str(note) for note in value["notes"])
            aspect = None if ratio is None else _plausible_aspect((int(ratio[0]), int(ratio[1])))[0]
            return cls(Orientation(value["rotation"], bool(value["mirror"])), aspect, notes)
        except (TypeError, KeyError, IndexError) as error:
            raise ValueError("its description of the display is of another kind") from error


class ShownPicture:
    """Base of dataclasses with the size and the display of a coded picture: its size and grid as shown."""

    width: int
    height: int
    display: Display

    @property
    def display_width(self) -> int:
        """Width of the picture as a player shows it, in square pixels."""
        return self.display.size(self.width, self.height)[0]

    @property
    def display_height(self) -> int:
        """Height of the picture as a player shows it, in square pixels."""
        return self.display.size(self.width, self.height)[1]

    @property
    def coded_size(self) -> tuple[int, int]:
        """(width, height) in whole macroblocks of 16 x 16 samples."""
        return -(-self.width // 16) * 16, -(-self.height // 16) * 16

    def region(self, grid_shape: tuple[int, ...]) -> Region:
        """The part of an upright grid of (rows, columns) that the cropped picture covers.

        The grid of a field picture has half as many rows.
        """
        rows, columns = grid_shape
        return self.display.region((rows, columns), (self.width, self.height), self.coded_size)


def _plausible_aspect(ratio: Fraction | tuple[int, int]) -> tuple[Fraction | None, tuple[str, ...]]:
    """The ratio and notes on it; None if it is unspecified, square if it is implausible."""
    numerator, denominator = ratio if isinstance(ratio, tuple) else (ratio.numerator, ratio.denominator)
    if numerator < 1 or denominator < 1:  # "unspecified" in every standard
        return None, ()
    value = Fraction(numerator, denominator)
    if not 1 / _MAX_ASPECT_RATIO <= value <= _MAX_ASPECT_RATIO:
        return SQUARE, (
            f"the sample aspect ratio {numerator}:{denominator} is implausible; pixels are taken as square",
        )
    return value, ()
