"""How a player turns the coded picture: rotation by right angles and mirroring.

Containers store a 3x3 display matrix (ISO/IEC 14496-12, 6.2.2 and 8.3.2). With x to the right and y down,
the coded point (x, y) is shown at (a x + c y + tx, b x + d y + ty).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["UPRIGHT", "Orientation"]

Scalar = TypeVar("Scalar", bound=np.generic)

_TOLERANCE: Final = math.sin(math.radians(1))  # angles within 1 degree count as right angles, as in ffmpeg


@dataclass(frozen=True)
class Orientation:
    """How to turn the coded picture so that it is upright.

    The picture is mirrored left to right first (if at all), then turned clockwise.

    Attributes:
        rotation: degrees clockwise: 0, 90, 180 or 270.
        mirror: whether the picture is mirrored.

    Raises:
        ValueError: another rotation.
    """

    rotation: int = 0
    mirror: bool = False

    def __post_init__(self) -> None:
        if self.rotation not in (0, 90, 180, 270):
            raise ValueError(f"rotation must be 0, 90, 180 or 270 degrees, got {self.rotation!r}")

    @classmethod
    def from_matrix(cls, matrix: Sequence[int]) -> Orientation:
        """The orientation of a display matrix.

        Args:
            matrix: 9 integers (a, b, u, c, d, v, x, y, w), row by row; their scale does not matter.

        Raises:
            ValueError: not 9 values, or no rotation by a multiple of 90 degrees.
        """
        if len(matrix) != 9:
            raise ValueError(f"a display matrix has 9 values, got {len(matrix)}")
        a, b, _, c, d = (float(value) for value in matrix[:5])
        across, down = math.hypot(a, c), math.hypot(b, d)
        if across == 0 or down == 0:
            raise ValueError("the display matrix can't be inverted")
        values = (a / across, b / down, c / across, d / down)
        signs = tuple(round(value) for value in values)
        near = all(abs(value - sign) < _TOLERANCE for value, sign in zip(values, signs, strict=True))
        for rotation in (0, 90, 180, 270):
            for mirror in (False, True):
                orientation = cls(rotation, mirror)
                if near and orientation.linear == signs:
                    return orientation
        raise ValueError("the display matrix turns the picture by an angle that is no multiple of 90 degrees")

    @property
    def matrix(self) -> tuple[int, ...]:
        """9 integers as :meth:`from_matrix` takes them, a to d and x, y in 16.16, u, v, w in 2.30."""
        a, b, c, d = (value << 16 for value in self.linear)
        return (a, b, 0, c, d, 0, 0, 0, 1 << 30)

    @property
    def linear(self) -> tuple[int, int, int, int]:
        """(a, b, c, d), each -1, 0 or 1: the coded direction (x, y) becomes (a x + c y, b x + d y)."""
        m = -1 if self.mirror else 1
        return {0: (m, 0, 0, 1), 90: (0, m, -1, 0), 180: (-m, 0, 0, -1), 270: (0, -m, 1, 0)}[self.rotation]

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height are exchanged."""
        return self.rotation in (90, 270)

    @property
    def inverse(self) -> Orientation:
        """The orientation that turns the upright picture back to the coded one."""
        return self if self.mirror else Orientation(-self.rotation % 360)

    def __str__(self) -> str:
        parts = ["mirrored"] if self.mirror else []
        if self.rotation:
            parts.append(f"turned {self.rotation} degrees clockwise")
        return ", then ".join(parts) or "as coded"

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the upright picture."""
        return (height, width) if self.swaps_sides else (width, height)

    def picture(self, array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        """Turn an array of rows and columns, such as a picture [H, W, 3] or a grid [H4, W4].

        Returns:
            A view of `array`, [H, W, ...] or [W, H, ...].
        """
        a, b, c, d = self.linear
        if self.swaps_sides:
            array = array.swapaxes(0, 1)
        return array[:: b + d, :: a + c]

    def field(self, field: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Turn a field of vectors: positions and directions.

        Args:
            field: signed [2, H4, W4], components (x, y).

        Returns:
            [2, H4, W4] or [2, W4, H4] of the same dtype; `field` itself where nothing is turned.
        """
        if self == UPRIGHT:
            return field
        a, b, c, d = self.linear
        x, y = (field[1], field[0]) if self.swaps_sides else (field[0], field[1])
        return np.stack([self.picture(x) * (a + c), self.picture(y) * (b + d)]).astype(
            field.dtype, copy=False
        )


UPRIGHT: Final = Orientation()
"""The coded picture is shown unchanged."""
