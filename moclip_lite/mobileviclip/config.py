"""What a MobileViCLIP is built from: plain values that travel with its weights."""

from __future__ import annotations

import dataclasses
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
"""MobileCLIP's S0 and S2: pictures from 0 to 1 as they are."""
IMAGENET: Final[Statistics] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""What users of the published MobileViCLIP weights feed them."""

_LARGEST: Final = 4096  # of any count in a description read from a file


@dataclass(frozen=True, kw_only=True)
class MobileViClipConfig:
    """Size and shape of a model.

    Attributes:
        name: "tiny" and "small" are the paper's; other names are for reduced models.
        trunk: timm's FastViT the image encoder is taken from.
        depths, dims: blocks and channels of its four stages, each a multiple of the one before; the
            last stage is attention with heads of 32 channels.
        embed_dim: length of an embedding.
        text: "mct" is MobileCLIP-S0's tower, "transformer" S2's (open_clip's).
        text_width, text_heads, text_layers: of the text tower's transformer layers.
        num_frames: T.
        image_size: side of a frame in pixels, a multiple of 32.
        temporal: False leaves the temporal modules out: the image model, frame by frame.
        normalization: mean and standard deviation of a channel, for pictures from 0 to 1.
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
        if len(self.depths) != 4 or len(self.dims) != 4 or not all(0 < n <= _LARGEST for n in sizes):
            raise ConfigError(f"a MobileViCLIP's counts must be from 1 to {_LARGEST}, in four stages")
        if self.image_size % 32 or self.dims[3] % 32 or self.text_width % self.text_heads:
            raise ConfigError(
                f"image_size {self.image_size} and the last of dims {self.dims[3]} must be multiples of 32, "
                f"text_width {self.text_width} one of text_heads {self.text_heads}"
            )
        if any(after % before for before, after in zip(self.dims, self.dims[1:], strict=False)):
            raise ConfigError(f"each of dims must be a multiple of the one before, got {self.dims}")
        if self.text not in ("mct", "transformer") or self.trunk not in ("fastvit_mci0", "fastvit_mci2"):
            raise ConfigError(f"unknown tower {self.text!r} or {self.trunk!r}")

    def describe(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_description(cls, value: Mapping[str, Any]) -> MobileViClipConfig:
        """The inverse of :meth:`describe`, for values that come from a file.

        Raises:
            CheckpointError: not such a description.
        """
        try:
            known = {field.name for field in dataclasses.fields(cls)}
            if unknown := sorted(set(value) - known):
                raise TypeError(f"unknown {unknown[0]!r}")
            mean, std = value["normalization"]
            fixed = {
                "depths": tuple(int(n) for n in value["depths"]),
                "dims": tuple(int(n) for n in value["dims"]),
                "normalization": (tuple(float(x) for x in mean), tuple(float(x) for x in std)),
            }
            return cls(**{**value, **fixed})
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            raise CheckpointError(f"not the description of a MobileViCLIP ({error})") from error


VARIANTS: Final[dict[str, MobileViClipConfig]] = {
    "tiny": MobileViClipConfig(
        name="tiny", trunk="fastvit_mci0", depths=(2, 6, 10, 2), dims=(64, 128, 256, 512)
    ),
    "small": MobileViClipConfig(
        name="small", trunk="fastvit_mci2", depths=(4, 12, 24, 4), dims=(80, 160, 320, 640),
        text="transformer", text_layers=12,
    ),
}  # fmt: skip
