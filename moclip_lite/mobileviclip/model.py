"""The model: video encoder, text tower and temperature, and how one is made."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ConfigError
from .config import VARIANTS, MobileViClipConfig, Statistics
from .text_tower import create_text_tower, tokenize
from .video import VideoEncoder

__all__ = ["MobileViCLIP", "build", "variant"]

_FLOOR: Final = 0.01  # least temperature (published)
_LOG_FLOOR: Final = float(torch.tensor(_FLOOR).log())  # as float32 has it


class MobileViCLIP(nn.Module):
    """Videos and sentences to vectors of one space.

    Attributes:
        config: size and shape.
        folded: whether training branches are folded away.
        weights: where the weights are from, for people; "random" until some are loaded.
        random_parts: what kept its random initial values when a file of weights was loaded that holds a part,
            for people, such as ("text tower",).
    """

    def __init__(self, config: MobileViClipConfig) -> None:
        super().__init__()
        self.config = config
        self.folded = False
        self.weights = "random"
        self.random_parts: tuple[str, ...] = ()
        self.video = VideoEncoder(config)
        self.text = create_text_tower(config)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(0.07)))

    def encode_video(self, clip: Tensor, *, normalize: bool = False) -> Tensor:
        """Embed clips.

        Args:
            clip: float32 [B, T, 3, S, S] in 0..1, T and S as configured.
            normalize: to length 1.

        Returns:
            [B, embed_dim].

        Raises:
            ValueError: another shape, or numbers that are not from 0 to 1.
        """
        self._check(clip)
        features: Tensor = self.video(clip)
        return functional.normalize(features, dim=-1) if normalize else features

    def encode_text(self, tokens: Tensor, *, normalize: bool = False) -> Tensor:
        """int64 [N, 77] of :meth:`tokenize` -> [N, embed_dim]."""
        features: Tensor = self.text(tokens)
        return functional.normalize(features, dim=-1) if normalize else features

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Texts -> int64 [N, 77]; what is longer is cut, with a warning.

        Raises:
            ValueError: an empty text, or none at all.
        """
        return tokenize(texts)

    @property
    def temperature(self) -> Tensor:
        """What similarities are divided by; never below 0.01."""
        # torch's clamp has no gradient at the bound itself, where published checkpoints lie.
        below = self.log_temperature < _LOG_FLOOR
        return self.log_temperature.masked_fill(below, _LOG_FLOOR).exp()

    @torch.no_grad()
    def clamp_temperature(self) -> None:
        """Set a temperature below the floor to the floor, in place.

        Below the floor the gradient is 0, at the floor it is not: training calls this before its first step
        and after each.
        """
        self.log_temperature.clamp_min_(_LOG_FLOOR)

    def set_normalization(self, normalization: Statistics) -> None:
        """Change the mean and standard deviation that pictures are normalised by."""
        self.config = dataclasses.replace(self.config, normalization=normalization)
        self.video.set_normalization(normalization)

    def reparameterize(self) -> MobileViCLIP:
        """A copy for inference with every training branch folded away; its outputs are the same.

        Outputs are those of evaluation mode: BatchNorm's running statistics are folded in.
        """
        twin = copy.deepcopy(self).eval().requires_grad_(False)
        if not twin.folded:
            twin.fold()
        return twin

    def fold(self) -> None:
        """What :meth:`reparameterize` does, in place."""
        from timm.models import reparameterize_model

        self.video.fold()
        reparameterize_model(self.text, inplace=True)
        self.requires_grad_(False)
        self.folded = True

    def describe(self) -> str:
        """For people: size, frames and weights."""
        weights = "RANDOM weights" if self.weights == "random" else self.weights
        if self.random_parts:
            weights += f", RANDOM weights in its {', its '.join(self.random_parts)}"
        frames = f"{self.config.num_frames} frames of {self.config.image_size} x {self.config.image_size}"
        return f"mobileviclip-{self.config.name}, {frames}, {weights}"

    @property
    def random(self) -> bool:
        """Whether weights are random, all or some."""
        return self.weights == "random" or bool(self.random_parts)

    def _check(self, clip: Tensor) -> None:
        frames, side = self.config.num_frames, self.config.image_size
        if clip.ndim != 5 or tuple(clip.shape[1:]) != (frames, 3, side, side) or not clip.is_floating_point():
            raise ValueError(
                f"a clip must be float [B, {frames}, 3, {side}, {side}] in 0..1, got {clip.dtype} "
                f"{list(clip.shape)}"
            )
        if torch.compiler.is_exporting() or not clip.numel():
            return
        low, high = torch.aminmax(clip)
        if not (low >= 0 and high <= 1):
            raise ValueError(f"a clip's values must be from 0 to 1, got {float(low):g} to {float(high):g}")


def variant(name: str, *, num_frames: int = 8) -> MobileViClipConfig:
    """The configuration of a published size: "tiny" or "small" (also "mobileviclip-tiny" ...).

    Raises:
        ConfigError: another name.
    """
    short = name.removeprefix("mobileviclip-")
    if short not in VARIANTS:
        raise ConfigError(f"a MobileViCLIP is one of {sorted(VARIANTS)}, got {name!r}")
    return dataclasses.replace(VARIANTS[short], num_frames=num_frames)


def build(config: MobileViClipConfig, seed: int = 0) -> MobileViCLIP:
    """A model with random weights drawn from `seed`; torch's own generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MobileViCLIP(config).eval()
