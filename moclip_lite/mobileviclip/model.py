"""The model: video encoder, text tower and temperature."""

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
from .text_tower import create_text_tower
from .tokenizer import tokenize
from .video import VideoEncoder

__all__ = ["MobileViCLIP", "build", "flaw_of", "variant"]

_MIN_TEMPERATURE: Final = 0.01  # published
_MIN_LOG: Final = float(torch.tensor(_MIN_TEMPERATURE).log())  # rounded to float32, as the parameter is


class MobileViCLIP(nn.Module):
    """Embeds videos and sentences in one space.

    Attributes:
        config: sizes.
        folded: whether training branches are folded away.
        weights: origin of the weights, in words; "random" until some are loaded.
        random_parts: parts that kept their random values when a file that lacks them was loaded, in words,
            such as ("text tower",).
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
            normalize: scale embeddings to length 1.

        Returns:
            [B, embed_dim].

        Raises:
            ValueError: another shape, or values outside 0 to 1.
        """
        self._check(clip)
        features: Tensor = self.video(clip)
        return functional.normalize(features, dim=-1) if normalize else features

    def encode_text(self, tokens: Tensor, *, normalize: bool = False) -> Tensor:
        """Embed tokenized texts: int64 [N, 77] -> [N, embed_dim]."""
        features: Tensor = self.text(tokens)
        return functional.normalize(features, dim=-1) if normalize else features

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Encode texts as int64 [N, 77]; longer texts are cut, with a warning.

        Raises:
            ValueError: an empty text, or no text.
        """
        return tokenize(texts)

    @property
    def temperature(self) -> Tensor:
        """Divisor of similarities, at least 0.01."""
        # torch's clamp has no gradient at the bound itself, where published checkpoints lie.
        below = self.log_temperature < _MIN_LOG
        return self.log_temperature.masked_fill(below, _MIN_LOG).exp()

    @torch.no_grad()
    def clamp_temperature(self) -> None:
        """Raise a temperature below the minimum to the minimum, in place.

        Below the minimum the gradient is 0, at the minimum it is not: training calls this before the
        first step and after each step.
        """
        self.log_temperature.clamp_min_(_MIN_LOG)

    def set_normalization(self, normalization: Statistics) -> None:
        """Set the mean and standard deviation by which pictures are normalised."""
        self.config = dataclasses.replace(self.config, normalization=normalization)
        self.video.set_normalization(normalization)

    def reparameterize(self) -> MobileViCLIP:
        """Return a copy for inference with all training branches folded away and the same outputs.

        The outputs are those of evaluation mode: BatchNorm's running statistics are folded in.
        """
        folded = copy.deepcopy(self).eval().requires_grad_(False)
        if not folded.folded:
            folded.fold()
        return folded

    def fold(self) -> None:
        """Fold training branches in place; see :meth:`reparameterize`."""
        from timm.utils.model import reparameterize_model

        self.video.fold()
        reparameterize_model(self.text, inplace=True)
        self.requires_grad_(False)
        self.folded = True

    def describe(self) -> str:
        """Size, frames and weights, in words."""
        weights = "RANDOM weights" if self.weights == "random" else self.weights
        if self.random_parts:
            weights += f", RANDOM weights in its {', its '.join(self.random_parts)}"
        frames = f"{self.config.num_frames} frames of {self.config.image_size} x {self.config.image_size}"
        return f"mobileviclip-{self.config.name}, {frames}, {weights}"

    @property
    def random(self) -> bool:
        """Whether any weights are random."""
        return self.weights == "random" or bool(self.random_parts)

    def _check(self, clip: Tensor) -> None:
        frames, side = self.config.num_frames, self.config.image_size
        if clip.ndim != 5 or tuple(clip.shape[1:]) != (frames, 3, side, side) or not clip.is_floating_point():
            raise ValueError(
                f"a clip must be float [B, {frames}, 3, {side}, {side}] in 0..1, "
                f"got {clip.dtype} {list(clip.shape)}"
            )
        if torch.compiler.is_exporting() or not clip.numel():
            return
        low, high = torch.aminmax(clip)
        if not (low >= 0 and high <= 1):
            raise ValueError(f"a clip's values must be from 0 to 1, got {float(low):g} to {float(high):g}")


def flaw_of(name: str, value: Tensor) -> str:
    """Why no model can compute with a tensor of this name, in words; empty if one can."""
    if value.is_floating_point() and not bool(torch.isfinite(value).all()):
        return "numbers that are not finite"
    if name.endswith("running_var") and bool((value < 0).any()):
        return "negative variances"
    return ""


def variant(name: str, *, num_frames: int = 8) -> MobileViClipConfig:
    """Configuration of a published size: "tiny" or "small", also with the prefix "mobileviclip-".

    Raises:
        ConfigError: another name.
    """
    short = name.removeprefix("mobileviclip-")
    if short not in VARIANTS:
        raise ConfigError(f"a MobileViCLIP is one of {sorted(VARIANTS)}, got {name!r}")
    return dataclasses.replace(VARIANTS[short], num_frames=num_frames)


def build(config: MobileViClipConfig, seed: int = 0) -> MobileViCLIP:
    """Build a model with random weights drawn from `seed`; torch's global generator is not changed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MobileViCLIP(config).eval()
