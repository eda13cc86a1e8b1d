"""Creates the encoder that the configuration names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigError
from .encoder import AppearanceEncoder
from .settings import OPEN_CLIP, AppearanceSettings

if TYPE_CHECKING:
    import torch

__all__ = ["make_encoder"]


def make_encoder(settings: AppearanceSettings, seed: int, device: torch.device) -> AppearanceEncoder:
    """Load the model that the configuration names.

    Args:
        settings: the section ``clip``.
        seed: of random weights; ignored for others.
        device: where it runs.

    Raises:
        ConfigError, WeightsUnavailable, CheckpointError: the model is unavailable.
    """
    arguments = {**settings.encoder_arguments(seed), "device": device}
    if settings.video:
        if arguments.pop("weights_of") is not None:
            raise ConfigError(f"clip.weights_of names a tag of open_clip; {settings.model} has none of them")
        from .mobileviclip import MobileViCLIPEncoder

        return MobileViCLIPEncoder(**arguments)
    if settings.library != OPEN_CLIP:
        from .backbones.encoder import BackboneEncoder

        return BackboneEncoder(**arguments)
    from .open_clip import OpenClipEncoder

    return OpenClipEncoder(**arguments)
