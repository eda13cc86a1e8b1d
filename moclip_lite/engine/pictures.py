"""Preprocessing of pictures with Pillow and NumPy: what torchvision and open_clip do, without importing them.

open_clip resizes with Pillow through torchvision (``torchvision.transforms.functional.resize`` and
``center_crop``); the same calls give the same bytes. Values are from 0 to 1 here: mean and standard deviation
are applied in the ONNX file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import CheckpointError

__all__ = ["PictureRules"]

_MODES: Final = ("shortest", "squash", "square")
_FILTERS: Final = ("bicubic", "bilinear", "nearest")


@dataclass(frozen=True)
class PictureRules:
    """How a picture becomes the encoder's input.

    Attributes:
        size: height and width of the input.
        resize: "shortest" resizes the short side and cuts the centre out, "squash" ignores the aspect ratio,
            "square" cuts the centred square out before it is resized (MobileViCLIP).
        short_side: the short side is resized to it before the centre is cut out; by default `size`.
        interpolation: a name of Pillow's filters in lower case, such as "bicubic".
    """

    size: int
    resize: str
    interpolation: str
    short_side: int | None = None

    def __post_init__(self) -> None:
        short = self.size if self.short_side is None else self.short_side
        sized = isinstance(short, int) and isinstance(self.size, int) and self.size <= short <= 4096
        known = sized and self.resize in _MODES and self.interpolation in _FILTERS
        if not known or not isinstance(self.size, int) or not 1 <= self.size <= 4096:
            raise CheckpointError(
                "pictures can't be prepared without PyTorch: "
                f"resize {self.resize!r} to {self.size!r}, {self.interpolation!r}"
            )

    @classmethod
    def of(cls, values: Any) -> PictureRules:
        """The rules in the description of an ONNX file.

        Raises:
            CheckpointError: values are missing or not supported here.
        """
        try:
            return cls(values["size"], values["resize"], values["interpolation"], values.get("short_side"))
        except (KeyError, TypeError, AttributeError) as error:
            raise CheckpointError("the preprocessing of pictures is not described") from error

    def prepare(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 [N, H, W, 3] -> float32 [N, 3, size, size] in 0..1."""
        stacked = np.stack([np.asarray(self._resized(Image.fromarray(picture))) for picture in pictures])
        return np.asarray(stacked.transpose(0, 3, 1, 2), np.float32) / np.float32(255)

    def _resized(self, image: Image.Image) -> Image.Image:
        size, resample = self.size, Image.Resampling[self.interpolation.upper()]
        short = min(image.size)
        if self.resize == "squash":
            return image.resize((size, size), resample)
        if self.resize == "square":
            left, top = ((side - short) / 2 for side in image.size)
            return image.resize((size, size), resample, box=(left, top, left + short, top + short))
        # torchvision truncates the longer side and rounds the crop's corner (half to even).
        side = self.short_side or size
        if short != side:
            long = int(side * max(image.size) / short)
            image = image.resize((side, long) if image.size[0] <= image.size[1] else (long, side), resample)
        left, top = (round((length - size) / 2) for length in image.size)
        return image.crop((left, top, left + size, top + size))
