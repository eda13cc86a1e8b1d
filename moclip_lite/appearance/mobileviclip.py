"""MobileViCLIP as an appearance encoder: one vector for the frames of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..mobileviclip import MobileViCLIP
from ..mobileviclip.encoder import ModelSpec, VideoTextEncoder
from ..mobileviclip.frames import to_tensor
from ..training.costs import count_cost
from .encoder import AppearanceEncoder

__all__ = ["MobileViCLIPEncoder"]


class MobileViCLIPEncoder(AppearanceEncoder):
    """A frozen MobileViCLIP; a clip's feature is [1, 512].

    Args:
        model: "mobileviclip-tiny" or "mobileviclip-small".
        pretrained: a tag, the path of a checkpoint, or "none" for random weights.
        device: where the model runs.
        seed: of random weights.
        frames: per clip; the published weights are for 8.

    Raises:
        ConfigError, CheckpointError, WeightsUnavailable: the model can't be loaded.
    """

    def __init__(
        self, model: str, pretrained: str, device: torch.device | None = None, seed: int = 0, frames: int = 8
    ) -> None:
        self.model_name, self.pretrained, self.seed = model, pretrained, seed
        self.device = device or torch.device("cpu")
        spec = ModelSpec(name=model, pretrained=pretrained, seed=seed, num_frames=frames)
        self._encoder = VideoTextEncoder(spec, self.device)

    @property
    def random(self) -> bool:
        return self._encoder.random

    def describe(self) -> str:
        return self._encoder.describe()

    @property
    def network(self) -> MobileViCLIP:
        """The model, folded and frozen."""
        return self._encoder.model

    @cached_property
    def configuration(self) -> dict[str, Any]:
        return dict(self._encoder.config.describe())

    @cached_property
    def weights_digest(self) -> str:
        return self._encoder.digest

    def frame_cost(self) -> dict[str, Any]:
        """Parameters of the video encoder and a frame's share of the clip's GFLOPs."""
        config = self._encoder.config
        blank = torch.zeros(1, config.num_frames, 3, config.image_size, config.image_size, device=self.device)
        cost = count_cost(self._encoder.model.video, [blank])
        return {**cost, "gflops": cost["gflops"] / config.num_frames}

    @cached_property
    def dim(self) -> int:
        return self._encoder.config.embed_dim

    def prepare(self, pictures: npt.NDArray[np.uint8]) -> Tensor:
        """Resize and crop: uint8 [N, H, W, 3] -> float32 [N, 3, S, S] in 0..1."""
        return torch.stack([to_tensor(picture, self._encoder.config.image_size) for picture in pictures])

    def encode_prepared(self, batch: Tensor) -> npt.NDArray[np.float32]:
        """Encode the frames of whole clips: float32 [N T, 3, S, S] -> [N, dim], L2-normalised."""
        clips = torch.unflatten(batch, 0, (-1, self._encoder.config.num_frames))
        return np.concatenate([self._encoder.encode_clips(clip[None]) for clip in clips])

    def encode_text(self, sentences: Sequence[str]) -> npt.NDArray[np.float32]:
        return self._encoder.encode_texts(sentences)
