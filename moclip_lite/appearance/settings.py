"""Settings of the appearance stream: the frozen CLIP model and the frames that it sees."""

from __future__ import annotations

import os
from typing import Any, Final

from pydantic import Field, field_validator, model_validator

from ..sampling import Positions
from ..settings import Settings, UserPath
from .pooling import Pooling

__all__ = ["LIBRARIES", "OPEN_CLIP", "VIDEO_MODELS", "AppearanceSettings", "no_text"]

VIDEO_MODELS: Final = "mobileviclip-"
"""Prefix of the names of models that take a clip's frames together."""

OPEN_CLIP: Final = "open_clip"
LIBRARIES: Final = ("timm", "torchvision")
"""Prefixes of ``clip.model`` for image networks, which have no text; open_clip's names need none."""


def no_text(model: str) -> str:
    """Message for what needs text, with a model that has none."""
    return (
        f"clip.model={model} has no text encoder: zero-shot, text embeddings of class names and heads that "
        "start from them need a CLIP (clip.model=ViT-B-32, or another of open_clip or mobileviclip)"
    )


class AppearanceSettings(Settings):
    """Appearance stream: the frozen image encoder.

    For mobileviclip-tiny and -small other defaults hold: the weights "datacompdr" and 8 frames;
    for timm:NAME and torchvision:NAME the weights "default", the library's own choice.

    `positions` is "uniform" for midpoints of equal parts; "reachable" for the keyframe nearest to each of
    them, or what is quickest to decode where a part has none
    (:func:`moclip_lite.sampling.reachable_positions`); "keyframes" for keyframes wherever they stand;
    "motion" for peaks of motion energy.
    """

    model: str = Field(
        "ViT-B-32",
        description="open_clip model (open_clip:NAME or NAME), timm:NAME, torchvision:NAME, "
        "mobileviclip-tiny or -small",
    )
    pretrained: str = Field("openai", description="tag, path of a checkpoint, or none for random weights")
    weights_of: str | None = Field(
        None, description="the tag that a checkpoint file is of: its activation and preprocessing"
    )
    frames: int = Field(4, ge=1, le=256, description="frames per clip")
    positions: Positions = Field(
        "reachable", description="which frames: reachable, uniform, keyframes or motion"
    )
    pooling: Pooling = Field(
        "head", description="of frames: head (as it does), mean, max, mean_max, mean_std, motion, timed"
    )
    crop_borders: bool = Field(False, description="cut off black borders in which nothing moves")
    normalize: bool = Field(True, description="L2-normalise features")
    prompts: UserPath | None = Field(None, description="YAML of templates and paraphrases (zero-shot)")

    @field_validator("model")
    @classmethod
    def _check_model(cls, value: str) -> str:
        """The same model has one name: open_clip's prefix is taken off."""
        prefix, colon, name = value.partition(":")
        if not colon:
            return value
        if prefix not in (OPEN_CLIP, *LIBRARIES):
            known = ", ".join(f"{each}:NAME" for each in (OPEN_CLIP, *LIBRARIES))
            raise ValueError(
                f"expected a name of open_clip, {known}, mobileviclip-tiny or mobileviclip-small"
            )
        if not name or name.startswith(VIDEO_MODELS):
            raise ValueError(f"expected a name of {prefix} after {prefix}:")
        return name if prefix == OPEN_CLIP else value

    @field_validator("pretrained")
    @classmethod
    def _check_pretrained(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("expected a tag, a path, or 'none' for random weights")
        return os.path.expanduser(value)

    @model_validator(mode="before")
    @classmethod
    def _video_defaults(cls, value: Any) -> Any:
        if isinstance(value, dict) and str(value.get("model", "")).startswith(VIDEO_MODELS):
            return {"pretrained": "datacompdr", "frames": 8, **value}
        if isinstance(value, dict) and str(value.get("model", "")).partition(":")[0] in LIBRARIES:
            return {"pretrained": "default", **value}
        return value

    @property
    def needs_motion(self) -> bool:
        """Whether a clip's motion decides which frames are seen, or how."""
        return self.positions == "motion" or self.pooling == "motion" or self.crop_borders

    @property
    def random(self) -> bool:
        """Whether random weights are asked for."""
        return self.pretrained == "none"

    @property
    def library(self) -> str:
        """ "open_clip", "timm" or "torchvision"; "mobileviclip" for a video model."""
        if self.video:
            return "mobileviclip"
        prefix = self.model.partition(":")[0]
        return prefix if prefix in LIBRARIES else OPEN_CLIP

    @property
    def has_text(self) -> bool:
        """Whether the model encodes sentences."""
        return self.library not in LIBRARIES

    @property
    def video(self) -> bool:
        """Whether the model takes a clip's frames together."""
        return self.model.startswith(VIDEO_MODELS)

    def encoder_arguments(self, seed: int) -> dict[str, Any]:
        """What an encoder is made with besides its device: all that decides its weights and features.

        Args:
            seed: of random weights; 0 stands for others, which have none.
        """
        chosen = {"model": self.model, "pretrained": self.pretrained, "weights_of": self.weights_of}
        frames = {"frames": self.frames} if self.video else {}
        return {**chosen, **frames, "seed": seed if self.random else 0}
