"""A 2-D network on stacked fields: those of a window are its channels (Simonyan and Zisserman 2014)."""

from __future__ import annotations

from torch import Tensor, nn

from .blocks import compress, mean_max_pool, stages, stem

__all__ = ["SmallEncoder"]


class SmallEncoder(nn.Module):
    """Residual CNN on the stacked fields of a window.

    Args:
        frames: fields in a window (L).
        width: channels of the first stage.
    """

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        self.stem = stem(2 * frames, width)
        self.blocks = stages(width)
        self.map_dim = 4 * width
        self.feature_dim = 2 * self.map_dim

    def maps(self, motion: Tensor) -> Tensor:
        """[N, 2 L, H, W] -> [N, 1, map_dim, H/8, W/8]; one map for all fields."""
        maps: Tensor = self.blocks(self.stem(compress(motion)))
        return maps[:, None]

    def forward(self, motion: Tensor) -> Tensor:
        """[N, 2 L, H, W] -> [N, feature_dim]."""
        return mean_max_pool(self.maps(motion)[:, 0])
