"""Geometry of pictures that come without a file."""

from __future__ import annotations

from dataclasses import dataclass, field

from mv_tools.display import Display, ShownPicture

__all__ = ["FrameGeometry"]


@dataclass(frozen=True)
class FrameGeometry(ShownPicture):
    """Picture size of a stream: a ``PictureGeometry`` for :class:`~moclip_lite.timeline.scorer.WindowScorer`.

    Attributes:
        width, height: of the coded picture after cropping on the right and below, in samples.
        display: how it is shown.
    """

    width: int
    height: int
    display: Display = field(default_factory=Display)
