"""Small pictures of a video, for the strip."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from mv_tools import MotionError, RgbDecoder

__all__ = ["THUMBNAILS", "Thumbnail", "read_thumbnails"]

THUMBNAILS: Final = 10
"""Pictures of a strip."""

_HEIGHT: Final = 72  # pixels
_MAX_WIDTH: Final = 160
_QUALITY: Final = 80


@dataclass(frozen=True)
class Thumbnail:
    """A small picture.

    Attributes:
        seconds: when it is shown, on the player's clock.
        picture: uint8 [H, W, 3].
    """

    seconds: float
    picture: npt.NDArray[np.uint8]

    def jpeg(self) -> bytes:
        """The picture as JPEG."""
        from PIL import Image

        data = io.BytesIO()
        Image.fromarray(self.picture).save(data, "JPEG", quality=_QUALITY)
        return data.getvalue()


def read_thumbnails(path: Path, origin: float, count: int = THUMBNAILS) -> list[Thumbnail]:
    """Keyframes nearest to the middles of equal parts of a video; none where they can't be decoded.

    Args:
        path: the video.
        origin: when its first picture is shown (:attr:`moclip_lite.timeline.timeline.Timeline.start`).
        count: how many; fewer where parts have the same keyframe.
    """
    thumbnails: list[Thumbnail] = []
    try:
        decoder = RgbDecoder(path)
        edges, keyframes = decoder.edges(), np.array(decoder.keyframe_indices())
        for number, picture in decoder.iter_frames_at(_chosen(edges, keyframes, count)):
            thumbnails.append(Thumbnail(origin + float(edges[number]), _shrink(picture)))
    except (MotionError, OSError):
        return thumbnails  # the labels matter; a strip has as many pictures as could be read
    return thumbnails


def _chosen(edges: npt.NDArray[np.float64], keyframes: npt.NDArray[np.int64], count: int) -> Sequence[int]:
    """The keyframe nearest to the middle of each of `count` equal parts."""
    middles = (np.arange(count) + 0.5) * edges[-1] / count
    nearest = np.abs(edges[keyframes][None] - middles[:, None]).argmin(axis=1)
    return sorted(set(keyframes[nearest].tolist()))


def _shrink(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    from PIL import Image

    height, width = picture.shape[:2]
    scale = min(_HEIGHT / height, _MAX_WIDTH / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX), np.uint8)
