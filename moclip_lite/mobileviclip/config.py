"""Configuration of a MobileViCLIP: plain values, stored beside its weights."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from ..errors import CheckpointError, ConfigError

__all__ = [
    "CONTEXT",
    "IMAGENET",
    "NO_NORMALIZATION",
    "VARIANTS",
    "VOCABULARY",
    "MobileViClipConfig",
    "Statistics",
]

CONTEXT: Final = 77
VOCABULARY: Final = 49408  # OpenAI's BPE

Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]
NO_NORMALIZATION: Final[Statistics] = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""MobileCLIP's S0 and S2 take pictures from 0 to 1 unchanged."""
IMAGENET: Final[Statistics] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Used with the published MobileViCLIP weights."""

_MAX_SIZE: Final = 4096  # limit of every count, because configurations are also read from files
_MAX_DEPTH: Final = 64  # of blocks and layers, which are made one by one before the tensors are compared


@dataclass(frozen=True, kw_only=True)
class MobileViClipConfig:
    """Size and shape of a model.

    Attributes:
        name: "tiny" and "small" are the paper's models; other names are free for reduced ones.
        trunk: timm's name of the FastViT used as image encoder.
        depths, dims: blocks and channels of its four stages. Each number of channels is a multiple of the
            previous one; the last stage is attention with heads of 32 channels.
        embed_dim: length of an embedding.
        text: text tower; "mct" is MobileCLIP-S0's, "transformer" is S2's (open_clip's).
        text_width, text_heads, text_layers: sizes of the text tower's transformer.
        num_frames: frames of a clip, T.
        image_size: side of a frame in pixels, a multiple of 32.
        temporal: whether there are temporal modules; without them each frame is encoded by itself.
        normalization: mean and standard deviation of each channel, for pictures from 0 to 1.
    """

    name: str
    trunk: str
    depths: tuple[int, int, int, int]
    dims: tuple[int, int, int, int]
    embed_dim: int = 512
    text: Literal["mct", "transformer"] = "mct"
    text_width: int = 512
    text_heads: int = 8
    text_layers: int = 4
    num_frames: int = 8
    image_size: int = 256
    temporal: bool = True
    normalization: Statistics = NO_NORMALIZATION

    def __post_init__(self) -> None:
        sizes = [*self.depths, *self.dims, self.embed_dim, self.num_frames, self.image_size]
        sizes += [self.text_width, self.text_heads, self.text_layers]
        if len(self.depths) != 4 or len(self.dims) != 4 or not all(0 < n <= _MAX_SIZE for n in sizes):
            raise ConfigError(f"the sizes of a MobileViCLIP must be from 1 to {_MAX_SIZE}, in four stages")
        if max(*self.depths, self.text_layers) > _MAX_DEPTH:
            raise ConfigError(f"depths and text_layers of a MobileViCLIP must be at most {_MAX_DEPTH}")
        if self.image_size % 32 or self.dims[3] % 32 or self.text_width % self.text_heads:
            raise ConfigError(
                f"image_size {self.image_size} and the last of dims, {self.dims[3]}, must be "
                f"multiples of 32, and text_width {self.text_width} of text_heads {self.text_heads}"
            )
        mean, deviation = self.normalization
        if not all(map(math.isfinite, (*mean, *deviation))) or min(deviation) <= 0:
            raise ConfigError(
                f"normalization needs finite numbers and deviations above 0, got {mean}, {deviation}"
            )
        if any(dim % previous for previous, dim in itertools.pairwise(self.dims)):
            raise ConfigError(f"each of dims must be a multiple of the previous one, got {self.dims}")
        if self.text not in ("mct", "transformer") or self.trunk not in ("fastvit_mci0", "fastvit_mci2"):
            raise ConfigError(f"unknown text tower {self.text!r} or image encoder {self.trunk!r}")

    def describe(self) -> dict[str, Any]:
        """The configuration as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_description(cls, value: Mapping[str, Any]) -> MobileViClipConfig:
        """Inverse of :meth:`describe`, for values read from a file.

        Raises:
            CheckpointError: the values are not such a description.
        """
        try:
            mean, std = value["normalization"]
            sequences = {
                "depths": tuple(int(n) for n in value["depths"]),
                "dims": tuple(int(n) for n in value["dims"]),
                "normalization": (tuple(float(x) for x in mean), tuple(float(x) for x in std)),
            }
            return cls(**{**value, **sequences})
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            raise CheckpointError(f"not the description of a MobileViCLIP ({error})") from error


VARIANTS: Final[dict[str, MobileViClipConfig]] = {
    "tiny": MobileViClipConfig(
        name="tiny", trunk="fastvit_mci0", depths=(2, 6, 10, 2), dims=(64, 128, 256, 512)
    ),
    "small": MobileViClipConfig(
        name="small",
        trunk="fastvit_mci2",
        depths=(4, 12, 24, 4),
        dims=(80, 160, 320, 640),
        text="transformer",
        text_layers=12,
    ),
}
