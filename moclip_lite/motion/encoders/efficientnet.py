"""EfficientNet-B0 on a resized field: the encoder of MoCLIP-Lite (arXiv 2509.17084)."""

from __future__ import annotations

from typing import Final

from torch import Tensor, nn
from torch.nn import functional

from ...errors import WeightsUnavailable

__all__ = ["EfficientNetEncoder"]

_EFFICIENTNET_DIM: Final = 1280  # timm's num_features of efficientnet_b0


class EfficientNetEncoder(nn.Module):
    """The paper's encoder: [N, 2 L, H, W] -> [N, 1280]; uses the mean of the L fields."""

    _CLIP: Final = 20.0  # pixels; the paper scales by 127.5 / 20 and clips to 8 bits

    def __init__(self, frames: int, pretrained: bool) -> None:
        super().__init__()
        import timm  # seconds to import, and needed by this network only

        self.frames = frames
        try:
            # timm averages the RGB stem for two channels, as the paper does.
            self.net = timm.create_model("efficientnet_b0", pretrained=pretrained, in_chans=2, num_classes=0)
        except Exception as error:  # hub clients raise many classes
            raise WeightsUnavailable(
                "the ImageNet weights of efficientnet_b0 can't be downloaded here; "
                "set motion.pretrained=false to start from random weights"
            ) from error
        self.input_norm = nn.BatchNorm2d(2)
        self.feature_dim = _EFFICIENTNET_DIM

    def forward(self, motion: Tensor) -> Tensor:
        batch, _, height, width = motion.shape
        field = motion.reshape(batch, self.frames, 2, height, width).mean(dim=1)
        field = field.clamp(-self._CLIP, self._CLIP) / (2 * self._CLIP)
        field = functional.interpolate(field, size=(224, 224), mode="bilinear", align_corners=False)
        features: Tensor = self.net(self.input_norm(field))
        return features
