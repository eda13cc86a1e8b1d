"""The appearance encoder of a run as a network from pictures to the features that heads take."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..appearance.backbones.encoder import BackboneEncoder
from ..appearance.encoder import AppearanceEncoder
from ..appearance.mobileviclip import MobileViCLIPEncoder
from ..appearance.settings import AppearanceSettings
from .videotext import picture_rules

__all__ = ["PictureNetwork", "picture_network"]


class PictureNetwork(nn.Module):
    """Pictures from 0 to 1 to features; mean, standard deviation and length of the features are applied here.

    Args:
        network: open_clip's model, or a MobileViCLIP.
        mean, std: of a channel.
        normalize: features to length 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Any, mean: list[float], std: list[float], normalize: bool) -> None:
        super().__init__()
        self.network, self.normalize = network, normalize
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))

    def encode(self, pictures: Tensor) -> Tensor:
        """[N, 3, S, S], normalised by mean and standard deviation -> [N, D]."""
        features: Tensor = self.network.encode_image(pictures)
        return features

    def forward(self, pictures: Tensor) -> Tensor:
        """float32 [N, 3, S, S] in 0..1 -> [N, D]; of a video encoder [N, T, 3, S, S]."""
        features = self.encode((pictures - self.mean) / self.std)
        return functional.normalize(features, dim=-1, eps=1e-12) if self.normalize else features


class _VideoNetwork(PictureNetwork):
    """A MobileViCLIP, which normalises pictures itself and always gives features of length 1."""

    def encode(self, pictures: Tensor) -> Tensor:
        features: Tensor = self.network.video(pictures)
        return features


class _Backbone(PictureNetwork):
    """A network without classifier."""

    def encode(self, pictures: Tensor) -> Tensor:
        features: Tensor = self.network(pictures)
        return features


def picture_network(
    encoder: AppearanceEncoder, clip: AppearanceSettings
) -> tuple[PictureNetwork, Tensor, dict[str, Any]]:
    """The network of an encoder.

    Args:
        encoder: of the run, on the CPU.
        clip: the run's section.

    Returns:
        (network in evaluation mode, example input with a batch of 2, what is done to pictures before).
    """
    if isinstance(encoder, MobileViCLIPEncoder):
        config = encoder.network.config
        video = _VideoNetwork(encoder.network, [0.0] * 3, [1.0] * 3, normalize=True)
        side, rules = config.image_size, {**picture_rules(config), "positions": clip.positions}
        return video.eval(), torch.rand(2, config.num_frames, 3, side, side), rules
    if isinstance(encoder, BackboneEncoder):
        seen = encoder.preprocessing
        backbone = _Backbone(encoder.network, list(seen.mean), list(seen.std), clip.normalize)
        rules = {
            "frames": clip.frames,
            "positions": clip.positions,
            "resize": "shortest" if seen.short_side else "as in preprocessing",
            "size": seen.side,
            "short_side": seen.short_side,
            "interpolation": seen.interpolation,
            "preprocessing": dict(seen.config),
            "values": "RGB from 0 to 1; mean and std are applied in the file",
        }
        return backbone.eval(), torch.rand(2, 3, seen.side, seen.side), rules
    cfg = encoder.network.visual.preprocess_cfg
    side = cfg["size"] if isinstance(cfg["size"], int) else cfg["size"][0]
    rules = {
        "frames": clip.frames,
        "positions": clip.positions,
        "resize": cfg.get("resize_mode", "shortest"),
        "size": side,
        "interpolation": cfg["interpolation"],
        "values": "RGB from 0 to 1; mean and std are applied in the file",
    }
    network = PictureNetwork(encoder.network, list(cfg["mean"]), list(cfg["std"]), clip.normalize)
    return network.eval(), torch.rand(2, 3, side, side), rules
