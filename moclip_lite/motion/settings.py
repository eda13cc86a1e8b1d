"""Settings of the motion stream: what is read from a clip, the network, and the views in testing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, field_validator, model_validator
from typing_extensions import Self

import mv_tools

from ..sampling import choose_segments
from ..settings import Settings, UserPath
from ..storage.digest import digest_file

__all__ = [
    "GENERATED",
    "GENERATED_FOR",
    "PRETRAIN_STEPS",
    "Crop",
    "FieldKind",
    "MotionSettings",
    "MotionSpec",
    "ViewSettings",
]

Crop: TypeAlias = Literal["none", "actor"]
FieldKind: TypeAlias = Literal["raw", "accumulated", "compensated"]


PRETRAIN_STEPS: Final = 2000
"""Default length of a pre-training on generated motion."""

GENERATED: Final = Path(__file__).parent / "generated.safetensors"
"""Weights of a motion network after pre-training on generated motion: what ``moclip pretrain --half`` writes
for the default settings."""

GENERATED_FOR: Final = (
    *("field", "frames", "stride", "grid", "normalize_distance", "crop"),
    *("net", "width"),
)
"""Settings that must be the default ones for :data:`GENERATED`."""


class MotionSpec(Settings):
    """How motion is read from a clip. Every field changes the result.

    Attributes:
        backend: of mv_tools, or "auto".
        field: "raw" motion per frame; "compensated" for the same without camera motion;
            "accumulated" back to the I picture (CoViAR).
        segments: windows, spread evenly over the clip.
        frames: pictures in a window.
        stride: from one picture of a window to the next; above 1 for slow motion and high frame rates.
        grid: (rows, columns); the frame is divided into so many cells, whatever its size.
        normalize_distance: divide vectors by the distance to their reference.
        crop: "none" for the whole frame, "actor" for a box that follows the motion.
        crop_side: height of that box as a share of the frame's short side; its shape is the grid's.
    """

    backend: str = Field("auto", description="of mv_tools: auto, native, libav, mvextractor")
    field: FieldKind = Field("raw", description="raw, compensated or accumulated")
    segments: int = Field(16, ge=1, le=512, description="windows kept per clip")
    frames: int = Field(5, ge=1, le=64, description="fields in a window")
    stride: int = Field(1, ge=1, le=64, description="pictures from a field to the next (slow motion)")
    grid: tuple[int, int] = Field((24, 32), description="rows, columns of the field")
    normalize_distance: bool = Field(True, description="divide vectors by the reference's distance")
    crop: Crop = Field("none", description="actor for a box that follows the motion (still cameras)")
    crop_side: float = Field(0.75, ge=0.2, le=2, description="height of that box, share of the short side")

    @field_validator("grid")
    @classmethod
    def _check_grid(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not all(4 <= side <= 512 for side in value):
            raise ValueError("rows and columns must be from 4 to 512")
        return value

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """[segments, frames, 2, rows, columns]."""
        return (self.segments, self.frames, 2, *self.grid)

    def reading(self) -> dict[str, Any]:
        """The fields that decide what is read from a clip, in plain values."""
        return self.model_dump(mode="json", include=set(MotionSpec.model_fields))

    def key_settings(self) -> Mapping[str, Any]:
        """What goes into the cache key."""
        backends = mv_tools.available_backends() if self.backend == "auto" else [self.backend]
        settings = self.reading() | {"backend": backends}
        if self.stride == 1:
            del settings["stride"]  # so that entries of versions without strides stay valid
        return settings


def _read_pretrained(value: Any) -> Any:
    """Words for true and false are read first; other text is a path."""
    try:
        return TypeAdapter(bool).validate_python(value)
    except ValidationError:
        return value


_Pretrained: TypeAlias = Annotated[
    bool | Literal["auto", "generated"] | UserPath, BeforeValidator(_read_pretrained)
]


class MotionSettings(MotionSpec):
    """Motion stream: what is read, and the network on it."""

    net: str = Field(
        "motion_small", description="motion_small, motion_shift, motion_fields or efficientnet_b0"
    )
    width: int = Field(24, ge=4, le=256, description="channels of the first stage (not efficientnet_b0)")
    dropout: float = Field(0.5, ge=0, lt=1, description="before the classifier")
    pretrained: _Pretrained = Field(
        "auto",
        description="generated: start from generated motion of figures; "
        "auto: so, where the other settings of what is read and of the network are the default ones; "
        "true: efficientnet_b0 starts from ImageNet; or a motion network's weights file",
    )
    train_segments: int = Field(2, ge=1, le=512, description="windows drawn per clip and step in training")
    min_side: float = Field(0.75, gt=0, le=1, description="smallest random crop, share of the side")
    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip")
    mirrors: Literal["auto", "ignore"] = Field(
        "auto", description="auto: no flips, in testing neither, where classes mirror each other"
    )
    speed: float = Field(1.2, ge=1, le=100, description="motion is scaled by 1/speed to speed")

    @model_validator(mode="before")
    @classmethod
    def _without_pretraining(cls, values: Any) -> Any:
        """Configurations of versions that had masked pre-training stay readable where they did not use it."""
        if not isinstance(values, Mapping) or values.get("pretrain_epochs") not in (0, "0"):
            return values
        return {key: value for key, value in values.items() if key != "pretrain_epochs"}

    @model_validator(mode="after")
    def _check_generated(self) -> Self:
        others = self._unlike_generated() if self.pretrained == "generated" else []
        if others:
            fields = type(self).model_fields
            needed = ", ".join(f"motion.{name}={_plain(fields[name].default)}" for name in others)
            raise ValueError(
                f"pretrained=generated needs {needed}; set motion.pretrained=auto, "
                "or make other weights with moclip pretrain"
            )
        return self

    def _unlike_generated(self) -> list[str]:
        """Settings that differ from those of the weights from generated motion."""
        fields = type(self).model_fields
        return [name for name in GENERATED_FOR if getattr(self, name) != fields[name].default]

    @property
    def start(self) -> bool | Path:
        """Where the network starts from: a file of weights, ImageNet (True) or random weights (False)."""
        if self.pretrained in ("auto", "generated"):
            return False if self._unlike_generated() else GENERATED
        assert not isinstance(self.pretrained, str)
        return self.pretrained

    def deciding(self) -> dict[str, Any]:
        """The settings that decide a trained network, in plain values; a file of weights by its content."""
        start: bool | str | Path = self.start
        if isinstance(start, Path):
            start = digest_file(start) if start.is_file() else str(start)
        return self.model_dump(mode="json") | {"pretrained": start}


def _plain(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value).lower()


def _read_number(value: Any) -> Any:
    """Literals are compared, not converted: a number that is still text is read first."""
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else value


_Crops: TypeAlias = Annotated[Literal[1, 3, 5], BeforeValidator(_read_number)]
_Flips: TypeAlias = Annotated[Literal[1, 2], BeforeValidator(_read_number)]


class ViewSettings(Settings):
    """Views per clip in testing: segments x crops x flips."""

    segments: int = Field(0, ge=0, le=512, description="windows; 0 for all that are kept")
    crops: _Crops = Field(3, description="1 whole frame, 3 with left and right, 5 corners and centre")
    flips: _Flips = Field(2, description="2 adds the mirrored view")

    def chosen(self, kept: int) -> npt.NDArray[np.int64]:
        """The windows to test of those that are kept per clip, ascending: each at most once."""
        return choose_segments(kept, min(self.segments or kept, kept))
