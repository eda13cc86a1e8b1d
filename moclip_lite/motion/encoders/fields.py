"""A 2-D network on each field, averaged over the window.

It can't see the order of fields: the control of :mod:`.shift`, with the same weights and operations.
"""

from __future__ import annotations

from torch import Tensor, nn

from .blocks import compress, mean_max_pool, stages, stem

__all__ = ["FieldEncoder"]


class FieldEncoder(nn.Module):
    """Residual CNN on single fields; the mean over the fields is the window's feature.

    Args:
        frames: fields in a window (L).
        width: channels of the first stage.
        before: applied to [N * L, C, H, W] at the start of each stage's residual branch.
    """

    def __init__(self, frames: int, width: int, before: nn.Module | None = None) -> None:
        super().__init__()
        self.frames = frames
        self.stem = stem(2, width)
        self.blocks = stages(width, before)
        self.map_dim = 4 * width
        self.feature_dim = 2 * self.map_dim

    def maps(self, motion: Tensor) -> Tensor:
        """[N, 2 L, H, W] -> [N, L, map_dim, H/8, W/8]."""
        fields = motion.reshape(-1, 2, *motion.shape[2:])
        maps: Tensor = self.blocks(self.stem(compress(fields)))
        return maps.reshape(-1, self.frames, *maps.shape[1:])

    def forward(self, motion: Tensor) -> Tensor:
        """[N, 2 L, H, W] -> [N, feature_dim]."""
        maps = self.maps(motion)
        return mean_max_pool(maps.flatten(0, 1)).reshape(*maps.shape[:2], -1).mean(dim=1)
