"""Settings of the appearance stream: the frozen CLIP model and the frames that it sees."""

from __future__ import annotations

import os
from typing import Any, Final

from pydantic import Field, field_validator, model_validator

from ..sampling import Positions
from ..settings import Settings, UserPath

__all__ = ["VIDEO_MODELS", "AppearanceSettings"]

VIDEO_MODELS: Final = "mobileviclip-"
"""Prefix of the names of models that take a clip's frames together."""


class AppearanceSettings(Settings):
    """Appearance stream: the frozen CLIP. For mobileviclip-tiny and -small other defaults hold: the weights
    "datacompdr" and 8 frames.

    `positions` is "uniform" for midpoints of equal parts; "reachable" for the keyframe nearest to each of
    them, or what is quickest to decode where a part has none
    (:func:`moclip_lite.sampling.reachable_positions`); "keyframes" for keyframes wherever they stand.
    """

    model: str = Field("ViT-B-32", description="open_clip model, mobileviclip-tiny or mobileviclip-small")
    pretrained: str = Field("openai", description="tag, path of a checkpoint, or none for random weights")
    weights_of: str | None = Field(
        None, description="the tag that a checkpoint file is of: its activation and preprocessing"
    )
    frames: int = Field(4, ge=1, le=256, description="frames per clip")
    positions: Positions = Field("reachable", description="which frames: reachable, uniform or keyframes")
    normalize: bool = Field(True, description="L2-normalise features")
    prompts: UserPath | None = Field(None, description="YAML of templates and paraphrases (zero-shot)")

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
        return value

    @property
    def random(self) -> bool:
        """Whether random weights are asked for."""
        return self.pretrained == "none"

    @property
    def video(self) -> bool:
        """Whether the model takes a clip's frames together."""
        return self.model.startswith(VIDEO_MODELS)
